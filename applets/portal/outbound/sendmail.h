/* applets/portal/outbound/sendmail.h: handing mails to the host's sendmail program (-t -oi), by a process of its own.
 *
 *   portal, without privileges          helper, as the portal was started            sendmail -t -oi -f FROM
 *      sendmail_send() ──message──▶ socket ──▶ starts ────────────message──▶ stdin, until it exits (no shell)
 *      on_result       ◀──verdict── socket ◀── exit status, first words of its stderr
 *
 * The serving portal gives up what a setuid or setgid mail program lives from (no_new_privs); the helper is forked before that, knows nothing
 * but this socket, and ends with it. One message at a time. Exit statuses are those of sysexits.h: 65, 67, 68 refuse for good, all
 * others but 0 mean later.
 */
#pragma once

#include "applets/portal/outbound/smtp.h"
#include "core/loop/loop.h"

#define SENDMAIL_TIMEOUT_SECS 60 /* then it is killed */

struct sendmail;

/* Forks. Before threads, secrets and descriptors that others shall not have. ERR_NOMEM, ERR_IO. */
int sendmail_start(const char *program, const char *from, struct sendmail **out) MUST_CHECK;
/* Ends the helper; NULL is allowed. */
void sendmail_free(struct sendmail *s);

/* Callbacks come from the loop, one for each message. A helper that died (`SMTP_LATER`) does not come back. */
int sendmail_attach(struct sendmail *s, struct loop *loop, void (*on_result)(void *ctx, enum smtp_verdict verdict, const char *text), void *ctx)
	MUST_CHECK;
/* Copied. ERR_STATE: one is in work; ERR_CLOSED: the helper is gone; ERR_LIMIT: larger than SMTP_MESSAGE_MAX; ERR_NOMEM. */
int sendmail_send(struct sendmail *s, struct span message) MUST_CHECK;
