#include "applets/portal/mail/mailer.h"

#include "applets/common/ca.h"
#include "applets/portal/mail/queue.h"
#include "applets/portal/outbound/smtp_link.h"
#include "applets/portal/store/store.h"
#include "core/http/tls.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_TARGET "mail"
#include "core/base/log.h"

#define REST_FIRST SEC(30)
#define REST_LATER MINUTES(2)
#define WAYS_MAX 2u

struct test {
	u64 id; /* 0: free */
	struct strbuf message;
	char to[MAIL_ADDRESS_MAX + 1];
	mail_test_done *done;
	void *ctx;
};

enum job { JOB_NONE, JOB_MAIL, JOB_TEST };

struct mailer {
	struct portal *portal;
	struct loop *loop;
	const struct mail_config *ways[WAYS_MAX]; /* the second is for when the first fails */
	u32 n_ways, way, link_way;
	u64 first_again; /* while the second is used: when the first is asked again */
	struct queue *queue;
	struct tls_anchors *anchors;
	struct sendmail *helper;
	struct smtp_link *link;
	struct loop_timer timer;
	struct loop_task task;
	enum job job; /* in the transport's hands */
	struct mail_row row;
	u64 test_id;
	struct test tests[MAIL_TESTS_MAX];
	u64 last_test;
	u32 sent_here; /* on this connection */
	bool was_ready, wants_reload;
	u32 failures;  /* to connect, in a row */
	u64 rest_until;
	char transport[WAYS_MAX * (MAIL_PATH_MAX + 64)];
};

static const struct mail_config *way_of(const struct mailer *m)
{
	return m->ways[m->way];
}

/* Whether there is another way than the one that just failed. */
static bool take_other_way(struct mailer *m, const char *text)
{
	if (m->way + 1 >= m->n_ways)
		return false;
	m->way++;
	m->first_again = time_add(loop_now(m->loop), MAIL_SECOND_WAY_FOR);
	queue_note_failure(m->queue, "", text, loop_wall(m->loop));
	log_warn("mail leaves by the second transport", kv_s("reason", text), kv_u("waiting", queue_count(m->queue)));
	return true;
}

/* ---- what is next --------------------------------------------------------------------------------------------------------------------- */

static struct test *next_test(struct mailer *m)
{
	struct test *best = NULL;

	for (u32 i = 0; i < MAIL_TESTS_MAX; i++)
		if (m->tests[i].id && (!best || m->tests[i].id < best->id))
			best = &m->tests[i];
	return best;
}

static struct test *find_test(struct mailer *m, u64 id)
{
	for (u32 i = 0; i < MAIL_TESTS_MAX; i++)
		if (id && m->tests[i].id == id)
			return &m->tests[i];
	return NULL;
}

static void wipe(struct strbuf *b)
{
	if (b->p)
		sodium_memzero(b->p, b->cap);
	strbuf_free(b);
}

static void end_test(struct mailer *m, struct test *t, int rc, const char *what)
{
	mail_test_done *done = t->done;
	void *ctx = t->ctx;

	log_info("test mail", kv_s("to", t->to), kv_s("result", what));
	if (rc)
		queue_note_failure(m->queue, t->to, what, loop_wall(m->loop));
	wipe(&t->message);
	*t = (struct test){ .id = 0 };
	done(ctx, rc, what);
}

/* Composed for the transport: 0 and the job is set, ERR_NOT_FOUND when nothing is to be sent. */
static int take_job(struct mailer *m, struct strbuf *message, const char **to)
{
	struct test *t = next_test(m);
	u64 wall = loop_wall(m->loop);
	int rc;

	if (t) {
		strbuf_add(message, t->message.p, t->message.n);
		m->job = JOB_TEST;
		m->test_id = t->id;
		*to = t->to;
		return 0;
	}
	while ((rc = queue_take(m->queue, wall, &m->row)) == 0) {
		struct mail_envelope e = { m->ways[0]->from, m->row.recipient, m->row.subject, m->row.body_text, m->row.body_html, m->row.e.id,
					   (u64)m->row.e.inserted_at * 1000 };
		rc = mail_compose(&e, message);
		if (rc == 0) {
			m->job = JOB_MAIL;
			*to = m->row.recipient;
			return 0;
		}
		strbuf_reset(message);
		queue_settle(m->queue, &m->row, rc == ERR_INVAL ? SMTP_REFUSED : SMTP_LATER, err_str(rc), wall);
	}
	if (rc != ERR_NOT_FOUND) {
		m->rest_until = time_add(loop_now(m->loop), REST_FIRST);
		log_at(store_trouble(m->portal->store) ? LOG_DEBUG : LOG_ERROR, "the queue of mails cannot be read", kv_err(rc), kv_s("reason", store_reason(m->portal->store)));
	}
	return rc;
}

static void end_job(struct mailer *m, enum smtp_verdict verdict, const char *text)
{
	enum job job = m->job;
	struct test *t;

	m->job = JOB_NONE;
	switch (job) {
	case JOB_MAIL:
		queue_settle(m->queue, &m->row, verdict, text, loop_wall(m->loop));
		break;
	case JOB_TEST:
		t = find_test(m, m->test_id);
		if (t)
			end_test(m, t, verdict == SMTP_ACCEPTED ? 0 : verdict == SMTP_REFUSED ? ERR_DENIED : ERR_AGAIN, text);
		break;
	case JOB_NONE:
		break;
	}
}

static void on_result(void *ctx, enum smtp_verdict verdict, const char *text)
{
	struct mailer *m = ctx;

	if (verdict == SMTP_LATER && take_other_way(m, text)) {
		if (m->job == JOB_MAIL)
			queue_give_back(m->queue, &m->row);
		m->job = JOB_NONE;
	} else {
		end_job(m, verdict, text);
	}
	m->sent_here++;
	loop_task_queue(m->loop, &m->task);
}

/* ---- SMTP ------------------------------------------------------------------------------------------------------------------------------- */

static void on_ready(void *ctx)
{
	struct mailer *m = ctx;
	struct strbuf message = { .p = NULL };
	const char *to;

	m->was_ready = true;
	m->failures = 0;
	m->rest_until = 0;
	if (m->way != m->link_way || m->sent_here >= MAILS_PER_CONNECTION || take_job(m, &message, &to)) {
		smtp_link_quit(m->link);
	} else {
		int rc = smtp_link_send(m->link, &(struct smtp_mail){ way_of(m)->from, to, strbuf_span(&message) });
		if (rc) {
			end_job(m, rc == ERR_NOMEM ? SMTP_LATER : SMTP_REFUSED, "this mail cannot be sent as it is");
			smtp_link_quit(m->link);
		}
	}
	wipe(&message);
}

/* Nobody was there: tests hear of it, what waits goes on waiting. */
static void no_connection(struct mailer *m, const char *text)
{
	struct test *t;

	if (take_other_way(m, text))
		return;
	m->way = 0;
	m->failures++;
	m->rest_until = time_add(loop_now(m->loop), m->failures == 1 ? REST_FIRST : REST_LATER);
	queue_note_failure(m->queue, "", text, loop_wall(m->loop));
	log_warn("mail cannot be sent at present", kv_s("reason", text), kv_u("waiting", queue_count(m->queue)));
	while ((t = next_test(m)) != NULL)
		end_test(m, t, ERR_CLOSED, text);
}

static void on_closed(void *ctx, const char *text)
{
	struct mailer *m = ctx;

	smtp_link_free(m->link);
	m->link = NULL;
	if (!m->was_ready)
		no_connection(m, text);
	loop_task_queue(m->loop, &m->task);
}

static void connect_smtp(struct mailer *m)
{
	const struct mail_config *c = way_of(m);
	struct smtp_link_config cfg = {
		.loop = m->loop,
		.rng = m->portal->rng,
		.host = c->host,
		.port = c->port,
		.is_tls = c->is_tls,
		.is_starttls = c->is_starttls,
		.may_auth_in_clear = !c->is_tls && !c->is_starttls, /* config.h: this host, or ?insecure */
		.anchors = m->anchors,
		.helo = strrchr(c->from, '@') + 1,
		.user = c->user,
		.password = c->password,
		.on_ready = on_ready,
		.on_result = on_result,
		.on_closed = on_closed,
		.ctx = m,
	};

	m->was_ready = false;
	m->sent_here = 0;
	m->link_way = m->way;
	m->link = smtp_link_new(&cfg);
	if (!m->link)
		no_connection(m, "out of memory or descriptors");
}

/* ---- sendmail ------------------------------------------------------------------------------------------------------------------------------ */

static void hand_to_sendmail(struct mailer *m)
{
	struct strbuf message = { .p = NULL };
	const char *to;

	if (m->job != JOB_NONE || take_job(m, &message, &to))
		return;
	int rc = sendmail_send(m->helper, strbuf_span(&message));
	if (rc) {
		end_job(m, SMTP_LATER, rc == ERR_CLOSED ? "the process that runs sendmail is gone; start the portal anew" : err_str(rc));
		loop_task_queue(m->loop, &m->task);
	}
	wipe(&message);
}

/* ---- all --------------------------------------------------------------------------------------------------------------------------------------- */

static bool has_work(struct mailer *m, u64 now, u64 wall)
{
	u64 due = queue_next_due(m->queue);

	return next_test(m) || (now >= m->rest_until && (due <= wall || (due != TIME_NEVER && due > wall + MAIL_WAIT_MAX)));
}

/* Something is due: to the transport with it. Else: when? */
static void pump(struct mailer *m)
{
	if (m->wants_reload && m->job == JOB_NONE) {
		m->wants_reload = false;
		if (queue_reload(m->queue))
			log_error("the queue of mails cannot be read", kv_s("reason", store_reason(m->portal->store)));
	}
	u64 now = loop_now(m->loop), wall = loop_wall(m->loop), due = queue_next_due(m->queue);
	loop_timer_clear(m->loop, &m->timer);
	if (m->link || m->job != JOB_NONE)
		return; /* its events go on */
	if (m->way > 0 && now >= m->first_again)
		m->way = 0;
	if (has_work(m, now, wall)) {
		if (way_of(m)->way == MAIL_BY_SMTP)
			connect_smtp(m);
		else
			hand_to_sendmail(m);
		now = loop_now(m->loop);
		due = queue_next_due(m->queue);
	}
	if (m->link || m->job != JOB_NONE || due == TIME_NEVER)
		return;
	u64 pause = due > wall ? MIN(due - wall, MAIL_WAIT_MAX) : SEC(1);
	loop_timer_set(m->loop, &m->timer, MAX(m->rest_until, time_add(now, pause)));
}

static void on_timer(void *ctx, u64 now)
{
	(void)now;
	pump(ctx);
}

static void describe(struct mailer *m)
{
	struct wr out = wr_init(m->transport, sizeof(m->transport) - 1);

	for (u32 i = 0; i < m->n_ways; i++) {
		const struct mail_config *c = m->ways[i];
		char one[MAIL_PATH_MAX + 32];

		if (c->way == MAIL_BY_SENDMAIL)
			snprintf(one, sizeof(one), "%s", c->sendmail);
		else
			snprintf(one, sizeof(one), "%s port %u %s", c->host, c->port,
				 c->is_tls ? "inside TLS" : c->is_starttls ? "with STARTTLS" : "without encryption");
		wr_bytes(&out, i ? ", else " : "", i ? 7 : 0);
		wr_bytes(&out, one, strlen(one));
	}
}

int mailer_new(struct portal *portal, struct loop *loop, const struct mail_config *first, const struct mail_config *second, struct sendmail *helper,
	       struct mailer **out, char why[static MAIL_WHY_MAX])
{
	struct mailer *m = calloc(1, sizeof(*m));
	int rc = m ? 0 : ERR_NOMEM;

	snprintf(why, MAIL_WHY_MAX, "out of memory");
	if (!m) {
		sendmail_free(helper);
		return rc;
	}
	m->portal = portal;
	m->loop = loop;
	m->ways[m->n_ways++] = first;
	if (second && second->way != MAIL_BY_NOTHING)
		m->ways[m->n_ways++] = second;
	m->helper = helper;
	m->timer = (struct loop_timer){ .cb = on_timer, .ctx = m };
	m->task = (struct loop_task){ .cb = on_timer, .ctx = m };
	describe(m);
	for (u32 i = 0; i < m->n_ways && !m->anchors && !rc; i++)
		if (m->ways[i]->is_tls || m->ways[i]->is_starttls)
			rc = ca_load(m->ways[i]->ca_file, &m->anchors, why, MAIL_WHY_MAX);
	if (!rc && helper)
		rc = sendmail_attach(helper, loop, on_result, m);
	if (!rc) {
		m->queue = queue_new(portal->store, portal->rng);
		rc = m->queue ? 0 : ERR_IO;
	}
	if (rc) {
		mailer_free(m);
		return rc;
	}
	loop_task_queue(loop, &m->task);
	*out = m;
	return 0;
}

void mailer_free(struct mailer *m)
{
	if (!m)
		return;
	loop_timer_clear(m->loop, &m->timer);
	loop_task_cancel(m->loop, &m->task);
	smtp_link_free(m->link);
	sendmail_free(m->helper);
	if (m->job == JOB_MAIL)
		queue_give_back(m->queue, &m->row);
	for (u32 i = 0; i < MAIL_TESTS_MAX; i++)
		wipe(&m->tests[i].message);
	queue_free(m->queue);
	tls_anchors_free(m->anchors);
	free(m);
}

/* ---- the doors of mail.h ----------------------------------------------------------------------------------------------------------------------- */

int mail_send(struct portal *p, const struct mail *mail)
{
	struct mailer *m = p->mailer;
	int rc;

	if (!m)
		return ERR_UNSUPPORTED;
	rc = queue_add(m->queue, mail, loop_wall(m->loop));
	if (rc)
		log_warn("a mail cannot be queued", kv_s("to", mail->to ? mail->to : ""), kv_err(rc), kv_u("waiting", queue_count(m->queue)));
	else
		loop_task_queue(m->loop, &m->task); /* by then the transaction it may be in has ended */
	return rc;
}

void mail_look_again(struct portal *p)
{
	if (!p->mailer)
		return;
	p->mailer->wants_reload = true;
	p->mailer->rest_until = 0;
	loop_task_queue(p->mailer->loop, &p->mailer->task);
}

bool mail_is_possible(const struct portal *p)
{
	return p->mailer;
}

void mail_status(struct portal *p, struct mail_status *out)
{
	struct mailer *m = p->mailer;

	*out = (struct mail_status){ .from = "", .transport = "none", .sent_to = "", .failed_to = "", .failure = "" };
	if (!m)
		return;
	const struct queue_news *news = queue_news(m->queue);
	*out = (struct mail_status){ true, m->ways[0]->from, m->transport, queue_count(m->queue), news->sent_at, news->failed_at,
				     news->sent_to, news->failed_to, news->failure };
}

u64 mail_test(struct portal *p, const char *to, const char *by, mail_test_done *done, void *ctx, char *why, size_t why_cap)
{
	struct mailer *m = p->mailer;
	struct mail mail = { .kind = MAIL_TEST, .to = to, .by = by };
	struct test *t = NULL;
	struct mail_text text;
	int rc;

	for (u32 i = 0; m && i < MAIL_TESTS_MAX; i++)
		if (!m->tests[i].id)
			t = &m->tests[i];
	if (!t) {
		snprintf(why, why_cap, "%s", m ? "other test mails are on their way; wait for them" : "this portal sends no mail: start it with --mail");
		return 0;
	}
	rc = mail_write(&mail, loop_wall(m->loop), &text);
	if (!rc) {
		struct mail_envelope e = { .from = m->ways[0]->from, .to = to, .subject = text.subject, .text = strbuf_text(&text.text),
					   .html = strbuf_text(&text.html), .wall = loop_wall(m->loop) };
		rng_fill(p->rng, e.id.b, sizeof(e.id.b));
		rc = mail_compose(&e, &t->message);
		mail_text_free(&text);
	}
	if (rc) {
		wipe(&t->message);
		snprintf(why, why_cap, "%s", rc == ERR_INVAL ? "this is no e-mail address that mail can be sent to" : err_str(rc));
		return 0;
	}
	t->id = ++m->last_test;
	snprintf(t->to, sizeof(t->to), "%s", to);
	t->done = done;
	t->ctx = ctx;
	loop_task_queue(m->loop, &m->task);
	return t->id;
}

static void nobody(void *ctx, int rc, const char *what)
{
	(void)ctx;
	(void)rc;
	(void)what;
}

void mail_test_cancel(struct portal *p, u64 id)
{
	struct test *t = p->mailer ? find_test(p->mailer, id) : NULL;

	if (t)
		t->done = nobody;
}
