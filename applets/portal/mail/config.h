/* applets/portal/mail/config.h: how this portal's mail leaves (spec 60 §0.2, OUTBOUND_EMAIL_…): one text from the command line.
 *
 *	none                                       no mail (the default)
 *	sendmail, sendmail:/usr/sbin/sendmail      a program that takes a message on its input (-t -oi)
 *	smtp://user:password@host:587              SMTP, STARTTLS required (port 587 unless said otherwise)
 *	smtps://user:password@host                 SMTP inside TLS (port 465)
 *	smtp://localhost:25                        to this very host: without TLS, unless ?starttls
 *	smtp://host?insecure                       without TLS over a network: whoever is on the way reads every code
 *
 * User and password are percent-encoded. The password may come from a file instead, so that it is in no list of processes.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define MAIL_ADDRESS_MAX 254u /* RFC 5321 §4.5.3.1.3, without the angle brackets */
#define MAIL_CREDENTIAL_MAX 512u
#define MAIL_HOST_MAX 255u
#define MAIL_PATH_MAX 512u
#define MAIL_WHY_MAX 256u

enum mail_way { MAIL_BY_NOTHING, MAIL_BY_SMTP, MAIL_BY_SENDMAIL };

struct mail_config {
	enum mail_way way;
	char from[MAIL_ADDRESS_MAX + 1];
	char host[MAIL_HOST_MAX + 1];
	u16 port;
	bool is_tls;	    /* from the first byte */
	bool is_starttls;   /* required; with neither, mail travels in the clear and so does the password */
	char user[MAIL_CREDENTIAL_MAX], password[MAIL_CREDENTIAL_MAX]; /* "": without authentication */
	char sendmail[MAIL_PATH_MAX];
	const char *ca_file; /* NULL: the system's; borrowed */
};

struct mail_options {
	const char *transport;	   /* NULL: none */
	const char *from;	   /* NULL: firezone@ and the host of `url` */
	const char *url;	   /* NULL: not known */
	const char *password;	   /* from the environment; NULL */
	const char *password_file; /* its first line; NULL */
	const char *ca_file;
};

/* ERR_INVAL, ERR_IO with a sentence in `why`, in which no password is. */
int mail_config_read(struct mail_config *cfg, const struct mail_options *o, char why[static MAIL_WHY_MAX]) MUST_CHECK;
void mail_config_wipe(struct mail_config *cfg);

/* Whether the text can stand in an envelope and in a header: one '@', a host name behind it, no spaces, controls, commas, quotes or
 * brackets, UTF-8, not too long. `needs_utf8` (may be NULL): the part before the '@' is not ASCII, so the server must know SMTPUTF8. */
bool mail_address_is_valid(const char *address, bool *needs_utf8);
