/* applets/portal/mail/message.h: what a mail says, and what it looks like on the wire (RFC 5322, 2045 to 2047, 3834, 6532).
 *
 *	struct mail ──mail_write()──▶ subject, text, html ──(queue)──▶ mail_compose() ──▶ headers and multipart/alternative, CRLF, ASCII
 *
 * Nothing that comes from outside (names, user agents, reasons, host names) can end a line, open a header or a tag: it is cut, its control
 * characters become spaces, it is encoded for where it stands. Only an address beyond ASCII (RFC 6531) makes a header that is not ASCII.
 */
#pragma once

#include "applets/portal/mail/mail.h"
#include "core/base/strbuf.h"

#define MAIL_SUBJECT_MAX 200u /* bytes */
#define MAIL_VALUE_MAX 300u   /* of anything people typed, in a body */

struct mail_text {
	char subject[MAIL_SUBJECT_MAX + 1];
	struct strbuf text, html; /* lines end with LF */
};

/* `wall` (ns) is when it was asked for. ERR_INVAL: what the kind needs is missing, or an address or a link that cannot be one. ERR_NOMEM. `out` is empty then. */
int mail_write(const struct mail *m, u64 wall, struct mail_text *out) MUST_CHECK;
/* Wipes too. */
void mail_text_free(struct mail_text *t);

struct mail_envelope {
	const char *from, *to; /* addresses */
	const char *subject, *text, *html;
	struct uuid id;	       /* of the Message-ID: a mail that is sent twice is recognised as one */
	u64 wall;	       /* ns */
};

/* Appends the message. ERR_INVAL: an address that cannot be one; ERR_NOMEM. */
int mail_compose(const struct mail_envelope *e, struct strbuf *out) MUST_CHECK;
