#include "applets/portal/mail/queue.h"

#include "applets/portal/store/store.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_TARGET "mail"
#include "core/base/log.h"

#define FIRST_CAP 16u

struct entry {
	struct uuid account_id, id;
	u64 due, end; /* wall */
	i64 priority, attempts;
};

struct queue {
	struct store *store;
	struct rng *rng;
	struct entry *at;
	u32 n, cap, n_bulk;
	struct queue_news news;
};

static u64 wall_of(i64 micros)
{
	return micros > 0 ? (u64)micros * 1000 : 0;
}

static i64 micros_of(u64 wall)
{
	return (i64)(wall / 1000);
}

/* ---- what memory holds ----------------------------------------------------------------------------------------------------------------- */

static int remember(struct queue *q, const struct mail_row *row)
{
	u64 born = wall_of(row->e.inserted_at), own_end = wall_of(row->expires_at);

	if (q->n == q->cap) {
		u32 cap = q->cap ? 2 * q->cap : FIRST_CAP;
		struct entry *more = realloc(q->at, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		q->at = more;
		q->cap = cap;
	}
	q->at[q->n++] = (struct entry){ row->e.account_id, row->e.id, wall_of(row->next_attempt_at),
					own_end ? MIN(own_end, born + MAIL_LIFETIME) : born + MAIL_LIFETIME, row->priority, row->attempts };
	q->n_bulk += row->priority < MAIL_FIRST;
	return 0;
}

static struct entry *find(struct queue *q, const struct uuid *account, const struct uuid *id)
{
	for (u32 i = 0; i < q->n; i++)
		if (uuid_eq(&q->at[i].id, id) && uuid_eq(&q->at[i].account_id, account))
			return &q->at[i];
	return NULL;
}

static void forget(struct queue *q, struct entry *e)
{
	q->n_bulk -= e->priority < MAIL_FIRST;
	*e = q->at[--q->n];
}

static bool is_before(const struct entry *a, const struct entry *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->due < b->due;
}

static struct entry *first_due(struct queue *q, u64 wall)
{
	struct entry *best = NULL;

	for (u32 i = 0; i < q->n; i++) {
		struct entry *e = &q->at[i];
		/* a clock that was set back keeps nobody waiting longer than the longest pause */
		bool is_due = e->due <= wall || e->due > wall + MAIL_WAIT_MAX;
		if (is_due && (!best || is_before(e, best)))
			best = e;
	}
	return best;
}

u64 queue_next_due(const struct queue *q)
{
	u64 due = TIME_NEVER;

	for (u32 i = 0; i < q->n; i++)
		due = time_min(due, q->at[i].due);
	return due;
}

u32 queue_count(const struct queue *q)
{
	return q->n;
}

/* ---- news --------------------------------------------------------------------------------------------------------------------------------- */

const struct queue_news *queue_news(const struct queue *q)
{
	return &q->news;
}

void queue_note_failure(struct queue *q, const char *to, const char *text, u64 wall)
{
	q->news.failed_at = wall;
	snprintf(q->news.failed_to, sizeof(q->news.failed_to), "%s", to ? to : "");
	snprintf(q->news.failure, sizeof(q->news.failure), "%s", text ? text : "");
}

static void note_success(struct queue *q, const char *to, u64 wall)
{
	q->news.sent_at = wall;
	snprintf(q->news.sent_to, sizeof(q->news.sent_to), "%s", to ? to : "");
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------------------ */

static void wipe_text(char **text)
{
	if (*text)
		sodium_memzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static void release(struct mail_row *row)
{
	wipe_text(&row->body_text);
	wipe_text(&row->body_html);
	entity_deinit(KIND_MAIL, row);
}

static void write_row(struct queue *q, struct mail_row *row, u64 wall)
{
	int rc = store_begin(q->store, STORE_EAGER);

	if (!rc) {
		rc = store_update(q->store, KIND_MAIL, row, wall);
		rc = rc ? store_rollback(q->store, rc) : store_commit(q->store);
	}
	if (rc && rc != ERR_NOT_FOUND)
		log_at(store_trouble(q->store) ? LOG_DEBUG : LOG_ERROR, "what became of a mail cannot be written down", kv_err(rc), kv_s("reason", store_reason(q->store)));
}

static void end_row(struct queue *q, struct mail_row *row, int state, const char *text, u64 wall)
{
	row->state = state;
	row->next_attempt_at = 0;
	wipe_text(&row->body_text);
	wipe_text(&row->body_html);
	if (state == MAIL_SENT)
		row->sent_at = micros_of(wall);
	(void)text_set(&row->last_error, state == MAIL_SENT ? NULL : text);
	write_row(q, row, wall);
}

/* A mail that waited until nobody wants it any more. */
static void expire(struct queue *q, struct entry *e, u64 wall)
{
	struct mail_row row;
	struct entry dead = *e;
	char text[SMTP_TEXT_MAX];

	forget(q, e);
	if (store_get(q->store, KIND_MAIL, &dead.account_id, &dead.id, &row))
		return;
	snprintf(text, sizeof(text), "given up: too late%s%.180s", row.last_error ? "; before that: " : "", row.last_error ? row.last_error : "");
	log_warn("mail was not sent in time", kv_s("to", row.recipient), kv_s("subject", row.subject), kv_s("reason", text));
	queue_note_failure(q, row.recipient, text, wall);
	end_row(q, &row, MAIL_FAILED, text, wall);
	release(&row);
}

int queue_take(struct queue *q, u64 wall, struct mail_row *out)
{
	struct entry *e;

	for (u32 i = q->n; i-- > 0;)
		if (q->at[i].end <= wall)
			expire(q, &q->at[i], wall);
	while ((e = first_due(q, wall)) != NULL) {
		int rc = store_get(q->store, KIND_MAIL, &e->account_id, &e->id, out);
		if (rc == 0 && out->state == MAIL_QUEUED && out->body_text && out->body_html)
			return 0;
		if (rc == 0)
			release(out);
		else if (rc != ERR_NOT_FOUND)
			return rc;
		forget(q, e);
	}
	return ERR_NOT_FOUND;
}

static u64 pause_after(i64 attempts)
{
	static const u64 pauses[] = { SEC(30), MINUTES(2), MINUTES(10), MINUTES(60), MINUTES(180), MAIL_WAIT_MAX };

	return pauses[attempts < 1 ? 0 : MIN((size_t)attempts - 1, ARRAY_LEN(pauses) - 1)];
}

static void postpone(struct queue *q, struct mail_row *row, struct entry *e, const char *text, u64 wall)
{
	e->due = wall + pause_after(row->attempts);
	e->attempts = row->attempts;
	row->next_attempt_at = micros_of(e->due);
	(void)text_set(&row->last_error, text);
	log_warn("mail waits", kv_s("to", row->recipient), kv_s("subject", row->subject), kv_i("attempts", row->attempts), kv_s("reason", text));
	write_row(q, row, wall);
}

void queue_settle(struct queue *q, struct mail_row *row, enum smtp_verdict verdict, const char *text, u64 wall)
{
	struct entry *e = find(q, &row->e.account_id, &row->e.id);

	row->attempts++;
	switch (verdict) {
	case SMTP_ACCEPTED:
		log_info("mail is sent", kv_s("to", row->recipient), kv_s("subject", row->subject), kv_s("answer", text));
		note_success(q, row->recipient, wall);
		end_row(q, row, MAIL_SENT, text, wall);
		break;
	case SMTP_REFUSED:
		log_warn("mail is refused", kv_s("to", row->recipient), kv_s("subject", row->subject), kv_s("reason", text));
		queue_note_failure(q, row->recipient, text, wall);
		end_row(q, row, MAIL_FAILED, text, wall);
		break;
	case SMTP_LATER:
		queue_note_failure(q, row->recipient, text, wall);
		if (e)
			postpone(q, row, e, text, wall);
		break;
	}
	if (e && verdict != SMTP_LATER)
		forget(q, e);
	release(row);
}

void queue_give_back(struct queue *q, struct mail_row *row)
{
	(void)q;
	release(row);
}

/* ---- in --------------------------------------------------------------------------------------------------------------------------------------- */

static i64 priority_of(enum mail_kind kind)
{
	switch (kind) {
	case MAIL_CODE:
		return MAIL_FIRST;
	case MAIL_INVITE:
	case MAIL_RECOVERY:
		return MAIL_LINK;
	case MAIL_WELCOME:
	case MAIL_TEST:
	case MAIL_SYNC:
	case MAIL_OUTDATED:
	case MAIL_LIMITS:
		break;
	}
	return MAIL_BULK;
}

static int insert(struct queue *q, struct mail_row *row, u64 wall)
{
	bool is_inside = store_is_writing(q->store);
	/* who waits for a code asks again */
	int rc = is_inside ? 0 : store_begin(q->store, row->priority == MAIL_FIRST ? STORE_EAGER : STORE_DURABLE);

	if (rc)
		return rc;
	rc = store_insert(q->store, KIND_MAIL, row, wall);
	if (is_inside)
		return rc;
	return rc ? store_rollback(q->store, rc) : store_commit(q->store);
}

int queue_add(struct queue *q, const struct mail *m, u64 wall)
{
	struct mail_row row;
	struct mail_text text;
	int rc;

	entity_init(KIND_MAIL, &row);
	row.priority = priority_of(m->kind);
	if (q->n >= MAIL_QUEUE_MAX || (row.priority < MAIL_FIRST && q->n_bulk >= MAIL_QUEUE_BULK))
		return ERR_LIMIT;
	rc = mail_write(m, wall, &text);
	if (rc)
		return rc;
	row.e.account_id = m->account_id;
	row.e.id = uuid_random(q->rng);
	row.state = MAIL_QUEUED;
	row.next_attempt_at = micros_of(wall);
	row.expires_at = m->kind == MAIL_CODE ? micros_of(wall + MAIL_CODE_LIFETIME) : m->expires_at ? micros_of(m->expires_at) : 0;
	if (text_set(&row.recipient, m->to) || text_set(&row.subject, text.subject) || text_set(&row.body_text, strbuf_text(&text.text)) ||
	    text_set(&row.body_html, strbuf_text(&text.html)))
		rc = ERR_NOMEM;
	mail_text_free(&text);
	rc = rc ? rc : insert(q, &row, wall);
	rc = rc ? rc : remember(q, &row);
	release(&row);
	return rc;
}

static int read_row(void *ctx, enum kind k, const void *entity)
{
	struct queue *q = ctx;
	const struct mail_row *row = entity;
	u64 at = wall_of(row->e.updated_at);

	(void)k;
	if (row->state == MAIL_SENT && at > q->news.sent_at)
		note_success(q, row->recipient, at);
	if (row->state == MAIL_FAILED && at > q->news.failed_at)
		queue_note_failure(q, row->recipient, row->last_error, at);
	return row->state == MAIL_QUEUED && q->n < MAIL_QUEUE_MAX ? remember(q, row) : 0;
}

int queue_reload(struct queue *q)
{
	q->n = q->n_bulk = 0;
	return store_list(q->store, KIND_MAIL, NULL, read_row, q);
}

struct queue *queue_new(struct store *store, struct rng *rng)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->store = store;
	q->rng = rng;
	if (queue_reload(q) == 0)
		return q;
	queue_free(q);
	return NULL;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	free(q->at);
	free(q);
}
