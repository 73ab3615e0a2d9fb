/* applets/portal/mail/queue.h: mails that wait, in the store, and which of them is next.
 *
 *   queue_add() ──▶ [queued, due now] ──queue_take()──▶ in work ──queue_settle()──┬─ accepted ─▶ sent: bodies wiped
 *                        ▲                                                        ├─ refused ──▶ failed: bodies wiped
 *                        └───── due again after 30 s, 2 min, 10 min, 1 h, 3 h, 6 h … ── later ─┘
 *   older than MAIL_LIFETIME, or past its own end ──▶ failed
 *
 * The rows are the truth; memory holds what is needed to choose, and is filled from them at start. A row that is gone (its account was
 * deleted, its transaction was rolled back) is dropped when its turn comes. Times here are wall-clock nanoseconds: they outlive a restart.
 */
#pragma once

#include "applets/portal/mail/message.h"
#include "applets/portal/outbound/smtp.h"

#define MAIL_QUEUE_MAX 2000u	     /* mails that wait */
#define MAIL_QUEUE_BULK 1500u	     /* and of those that are no codes: a flood of news keeps nobody out */
#define MAIL_LIFETIME (SEC(86400))
#define MAIL_CODE_LIFETIME MINUTES(15) /* spec 60 §3.4 */
#define MAIL_WAIT_MAX (SEC(6 * 3600))

enum mail_priority { MAIL_BULK = 0, MAIL_LINK = 5, MAIL_FIRST = 10 };

struct queue;

struct queue_news {
	u64 sent_at, failed_at; /* wall; 0 never */
	char sent_to[256], failed_to[256], failure[SMTP_TEXT_MAX];
};

/* Reads what waits. NULL without memory, or when the store does not answer. */
struct queue *queue_new(struct store *store, struct rng *rng);
/* Somebody else changed rows. Not while one is in work. */
int queue_reload(struct queue *q) MUST_CHECK;
void queue_free(struct queue *q);

/* Within the store's running transaction, or in one of its own. As mail_send(). */
int queue_add(struct queue *q, const struct mail *m, u64 wall) MUST_CHECK;

/* The next mail that is due, the most urgent first, then the oldest; filled, to be settled or given back. ERR_NOT_FOUND: none is. One at a time. */
int queue_take(struct queue *q, u64 wall, struct mail_row *out) MUST_CHECK;
/* `row` is what queue_take() gave; it is released. */
void queue_settle(struct queue *q, struct mail_row *row, enum smtp_verdict verdict, const char *text, u64 wall);
/* Untried: as if it had not been taken. */
void queue_give_back(struct queue *q, struct mail_row *row);

/* When the next one is due (may lie in the past), TIME_NEVER when none waits. */
u64 queue_next_due(const struct queue *q);
u32 queue_count(const struct queue *q);
const struct queue_news *queue_news(const struct queue *q);
/* A failure of the transport as a whole, for the settings page. */
void queue_note_failure(struct queue *q, const char *to, const char *text, u64 wall);
