/* applets/portal/mail/mailer.h: who carries the queue to the transport, on the loop of the serving portal; the doors of mail.h are its own.
 *
 *   [idle] ──a mail is due──▶ [connecting] ──▶ [sending: one connection, one mail at a time, MAILS_PER_CONNECTION] ──none is due──▶ [idle]
 *                                  └── no connection ──▶ [resting 30 s, then 2 min each]: what waits keeps waiting; a test goes at once
 *
 * With a second transport, what the first does not take at present (no connection, 4xx, an exit status that says later) leaves by the second at once, and so
 * does all mail for MAIL_SECOND_WAY_FOR; only what neither takes waits. A mail that is refused for good (5xx) is refused.
 */
#pragma once

#include "applets/portal/mail/config.h"
#include "applets/portal/mail/mail.h"
#include "applets/portal/outbound/sendmail.h"

#define MAILS_PER_CONNECTION 50u
#define MAIL_SECOND_WAY_FOR MINUTES(5)
#define MAIL_TESTS_MAX 4u /* asked for and not answered */

/* `second` (NULL or none: there is no other) has the same sender; one of the two at most is sendmail. `helper` is what sendmail_start() gave when that is the way, else NULL; it becomes the mailer's. All else is borrowed. With the mailer in
 * portal->mailer mail_send() works. On failure `why` says what the operator can do. */
int mailer_new(struct portal *portal, struct loop *loop, const struct mail_config *first, const struct mail_config *second, struct sendmail *helper,
	       struct mailer **out, char why[static MAIL_WHY_MAX]) MUST_CHECK;
/* Drops the connection; what was under way is sent at the next start. NULL is allowed. */
void mailer_free(struct mailer *m);
