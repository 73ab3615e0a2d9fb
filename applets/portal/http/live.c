#include "applets/portal/http/live.h"

#include <stdlib.h>

struct stream {
	struct live *live;
	struct exchange *x;
	struct stream *next, **link;
	struct uuid account, session;
	u64 ends_at;
	char topics[LIVE_TOPICS_MAX];
};

struct live {
	struct loop *loop;
	struct loop_timer heartbeat;
	struct stream *streams;
	u32 n;
};

u32 live_count(const struct live *l)
{
	return l ? l->n : 0;
}

static void forget(struct stream *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->live->n--;
	free(s);
}

static void on_gone(void *ctx)
{
	forget(ctx);
}

static void end(struct stream *s)
{
	exchange_end(s->x);
	forget(s);
}

static void on_heartbeat(void *ctx, u64 now)
{
	struct live *l = ctx;

	for (struct stream *s = l->streams, *next; s; s = next) {
		next = s->next;
		if (now >= s->ends_at)
			end(s);
		else
			exchange_push(s->x, SPAN_STR(":\n\n"));
	}
	if (l->streams)
		loop_timer_set(l->loop, &l->heartbeat, now + LIVE_HEARTBEAT);
}

struct live *live_new(struct loop *loop)
{
	struct live *l = calloc(1, sizeof(*l));

	if (l) {
		l->loop = loop;
		l->heartbeat.cb = on_heartbeat;
		l->heartbeat.ctx = l;
	}
	return l;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	loop_timer_clear(l->loop, &l->heartbeat);
	free(l);
}

void live_open(struct exchange *x, const struct uuid *account, const struct uuid *session, const char *topics)
{
	struct live *l = x->portal->live;
	struct stream *s = l && l->n < LIVE_STREAMS_MAX ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		exchange_problem(x, 503, "Too many pages are open.");
		return;
	}
	if (strlen(topics) >= sizeof(s->topics)) {
		free(s);
		exchange_problem(x, 400, NULL);
		return;
	}
	s->live = l;
	s->x = x;
	s->account = *account;
	if (session)
		s->session = *session;
	s->ends_at = x->now + LIVE_AGE_MAX;
	strcpy(s->topics, topics);
	s->link = &l->streams;
	s->next = l->streams;
	if (s->next)
		s->next->link = &s->next;
	l->streams = s;
	l->n++;
	exchange_header(x, "Content-Type", "text/event-stream");
	exchange_header(x, "X-Accel-Buffering", "no");
	strbuf_reset(&x->out);
	strbuf_puts(&x->out, "retry: 3000\n\n");
	exchange_stream(x, on_gone, s);
	if (!l->heartbeat.is_set)
		loop_timer_set(l->loop, &l->heartbeat, x->now + LIVE_HEARTBEAT);
}

static bool hears(const struct stream *s, const struct uuid *account, const char *topic)
{
	size_t n = strlen(topic);

	if (account && !uuid_eq(&s->account, account))
		return false;
	for (const char *p = s->topics; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
		if (strncmp(p, topic, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	return false;
}

/* Lines of an event end in LF; a CR would be one too. */
static void put_lines(struct strbuf *b, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\r\n");
		strbuf_puts(b, "data: ");
		strbuf_add(b, text, n);
		strbuf_putc(b, '\n');
		text += n + (text[n] != '\0');
	}
}

void live_publish(struct portal *p, const struct uuid *account, const char *topic, const char *region, const char *html)
{
	struct strbuf event = { .max = EXCHANGE_STREAM_MAX };

	if (!live_listens(p, account, topic))
		return;
	put_lines(&event, region);
	if (html)
		put_lines(&event, html);
	strbuf_putc(&event, '\n');
	for (struct stream *s = p->live->streams; strbuf_ok(&event) && s; s = s->next)
		if (hears(s, account, topic))
			exchange_push(s->x, strbuf_span(&event));
	strbuf_free(&event);
}

bool live_listens(const struct portal *p, const struct uuid *account, const char *topic)
{
	for (const struct stream *s = p->live ? p->live->streams : NULL; s; s = s->next)
		if (hears(s, account, topic))
			return true;
	return false;
}

void live_close_session(struct portal *p, const struct uuid *session)
{
	for (struct stream *s = p->live ? p->live->streams : NULL, *next; s; s = next) {
		next = s->next;
		if (uuid_eq(&s->session, session))
			end(s);
	}
}
