/* applets/portal/outbound/smtp.h: the client's side of SMTP, as a pump without sockets (RFC 5321, 3207, 4954, 6531, 8314).
 *
 *	bytes of the server ──smtp_input()──▶ [machine] ──smtp_poll_event()──▶ what the owner must do or know
 *	bytes for the server ◀──smtp_output()── [machine] ◀──smtp_send(), smtp_quit()
 *
 *   smtp_opened()                        STARTTLS: SMTP_START_TLS, owner: smtp_secured()
 *        ▼                                     ▼  │
 *   [greeting] ──220──▶ [EHLO] ──▶ [STARTTLS] ─┘  └─▶ [EHLO] ──▶ [AUTH] ──▶ [ready] ◀──────────┐
 *                                                                   smtp_send() ▼     result     │
 *                                                              [MAIL] [RCPT] [DATA] [body] ──▶ [RSET]
 *   anywhere: silence, nonsense, 421, a refused greeting, EHLO, STARTTLS or AUTH ──▶ [closed]: SMTP_CLOSED with a reason
 *
 * One mail with one recipient at a time; any number on one connection. A server that lacks what is required (STARTTLS, AUTH in a kind we
 * know) is not talked to any further, and a password leaves only inside TLS unless the configuration says that the way is safe. Whatever
 * a server sent in the clear is forgotten once TLS begins; bytes that came behind its consent to TLS end the connection (an injection).
 * Bare CR or LF never leave: such a message is ERR_INVAL.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/time.h"

#define SMTP_LINE_MAX 2000u    /* bytes of one line of a reply; RFC 5321 promises 512 */
#define SMTP_REPLY_LINES_MAX 100u
#define SMTP_TEXT_MAX 240u     /* of a reply, kept for people */
#define SMTP_MESSAGE_MAX (256u * 1024u)
#define SMTP_TIMEOUT SEC(60)	    /* for any reply but the last; RFC 5321 §4.5.3.2 allows 300, for which no code waits */
#define SMTP_ACCEPT_TIMEOUT SEC(600) /* for the reply to a whole message: who gives up early sends it twice */

struct smtp;

struct smtp_config {
	const char *helo;	       /* our name, or an address literal "[192.0.2.1]" */
	const char *user, *password;   /* NULL or "": no authentication */
	bool wants_starttls;	       /* required */
	bool is_secure;		       /* TLS from the first byte, or a way nobody listens on: AUTH is fine */
};

/* Texts are copied. NULL without memory. */
struct smtp *smtp_new(const struct smtp_config *cfg);
void smtp_free(struct smtp *s);

void smtp_opened(struct smtp *s, u64 now);
void smtp_input(struct smtp *s, u64 now, struct span bytes);
void smtp_secured(struct smtp *s, u64 now);
/* The connection is gone, or the owner could not do what was asked; `what` says why. */
void smtp_failed(struct smtp *s, const char *what);

struct span smtp_output(const struct smtp *s);
void smtp_output_done(struct smtp *s, size_t n);
u64 smtp_next_timeout(const struct smtp *s);
void smtp_timeout(struct smtp *s, u64 now);

enum smtp_verdict {
	SMTP_ACCEPTED, /* the server has taken responsibility */
	SMTP_LATER,    /* 4xx, or the connection ended: try again */
	SMTP_REFUSED,  /* 5xx: never */
};

struct smtp_event {
	enum smtp_event_type { SMTP_START_TLS, SMTP_READY, SMTP_RESULT, SMTP_CLOSED } type;
	enum smtp_verdict verdict; /* of a result. A mail that was in work when the connection closed gets its result first */
	char text[SMTP_TEXT_MAX];  /* what the server said, or what went wrong; printable UTF-8 */
};

bool smtp_poll_event(struct smtp *s, struct smtp_event *out);

struct smtp_mail {
	const char *from, *to; /* without brackets */
	struct span message;   /* lines end with CRLF; copied */
};

/* Only when SMTP_READY was the last event. ERR_STATE; ERR_INVAL: an address or message that cannot travel; ERR_LIMIT: larger than
 * SMTP_MESSAGE_MAX; ERR_NOMEM. */
int smtp_send(struct smtp *s, u64 now, const struct smtp_mail *m) MUST_CHECK;
/* QUIT; SMTP_CLOSED follows when the server has answered, or not. */
void smtp_quit(struct smtp *s, u64 now);

/* What came from outside, fit for a log line and a page: control characters and what is not UTF-8 become '?'; cut at a character. */
void smtp_clean(char *out, size_t cap, const char *in, size_t n);
