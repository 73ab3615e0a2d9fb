/* Requests, their queue and their ends; connections are in wire.c. */
#include "applets/portal/outbound/fetch_int.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void push_back(struct fetcher *f, struct fetch *x)
{
	x->next = NULL;
	x->link = f->queue_end;
	*f->queue_end = x;
	f->queue_end = &x->next;
	f->n_queue++;
}

static void unlink_fetch(struct fetch *x)
{
	struct fetcher *f = x->fetcher;

	if (!x->link)
		return;
	*x->link = x->next;
	if (x->next)
		x->next->link = x->link;
	else if (f->queue_end == &x->next)
		f->queue_end = x->link;
	if (x->wire)
		f->n_busy--;
	else
		f->n_queue--;
	x->link = NULL;
}

void fetch_is_busy(struct fetch *x, struct wire *w)
{
	struct fetcher *f = x->fetcher;

	x->wire = w;
	w->fetch = x;
	x->next = f->busy;
	x->link = &f->busy;
	if (f->busy)
		f->busy->link = &x->next;
	f->busy = x;
	f->n_busy++;
}

void fetch_detach(struct fetch *x)
{
	unlink_fetch(x);
	if (x->wire)
		x->wire->fetch = NULL;
	x->wire = NULL;
}

static void wipe(struct strbuf *b)
{
	if (b->p)
		sodium_memzero(b->p, b->cap);
	strbuf_free(b);
}

static void free_fetch(struct fetch *x)
{
	loop_timer_clear(x->fetcher->loop, &x->timer);
	unlink_fetch(x);
	wipe(&x->request);
	wipe(&x->body);
	free(x);
}

static void finish(struct fetch *x, const struct fetch_answer *a)
{
	struct fetcher *f = x->fetcher;

	fetch_detach(x);
	loop_timer_clear(f->loop, &x->timer);
	x->done(x->ctx, a);
	free_fetch(x);
	loop_task_queue(f->loop, &f->pump);
}

void fetch_failed(struct fetch *x, int err, const char *fmt, ...)
{
	char why[FETCH_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	x->fetcher->stats.failed++;
	finish(x, &(struct fetch_answer){ .error = err, .why = why });
}

void fetch_answered(struct fetch *x, const struct http_head *head)
{
	finish(x, &(struct fetch_answer){ .why = "", .status = head->status, .head = head, .body = strbuf_span(&x->body) });
}

void fetch_again(struct fetch *x)
{
	struct fetcher *f = x->fetcher;

	x->must_dial = true;
	strbuf_reset(&x->body);
	x->next = f->queue;
	x->link = &f->queue;
	if (f->queue)
		f->queue->link = &x->next;
	else
		f->queue_end = &x->next;
	f->queue = x;
	f->n_queue++;
	loop_task_queue(f->loop, &f->pump);
}

static void on_pump(void *ctx, u64 now)
{
	struct fetcher *f = ctx;

	(void)now;
	for (u32 i = 0; i < FETCHES_MAX && f->queue && f->n_busy < FETCHES_MAX; i++) {
		struct fetch *x = f->queue;

		unlink_fetch(x);
		wire_begin(x);
	}
	if (f->queue && f->n_busy < FETCHES_MAX)
		loop_task_queue(f->loop, &f->pump);
}

static void on_timeout(void *ctx, u64 now)
{
	struct fetch *x = ctx;
	struct wire *w = x->wire;

	(void)now;
	fetch_detach(x);
	if (w)
		wire_free(w);
	fetch_failed(x, ERR_TIMEOUT, "%s did not answer in time", x->host);
}

struct fetcher *fetcher_new(const struct fetcher_config *cfg)
{
	struct dialler_config dc = { .loop = cfg->loop,
				     .resolver = { .rng = cfg->rng, .resolv_conf = cfg->resolv_conf, .hosts = cfg->hosts, .port = cfg->dns_port } };
	struct fetcher *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->loop = cfg->loop;
	f->rng = cfg->rng;
	f->allow_internal = cfg->allow_internal;
	f->queue_end = &f->queue;
	f->pump = (struct loop_task){ .cb = on_pump, .ctx = f };
	f->ca_file = cfg->ca_file ? strdup(cfg->ca_file) : NULL;
	f->dialler = dialler_new(&dc);
	if (!f->dialler || (cfg->ca_file && !f->ca_file)) {
		fetcher_free(f);
		return NULL;
	}
	return f;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	while (f->busy)
		fetch_cancel(f->busy);
	while (f->queue)
		fetch_cancel(f->queue);
	while (f->wires)
		wire_free(f->wires);
	loop_task_cancel(f->loop, &f->pump);
	dialler_free(f->dialler);
	tls_anchors_free(f->anchors);
	free(f->ca_file);
	free(f);
}

/* Head and body as they will be sent. */
static int compose(struct fetch *x, const struct fetch_request *rq, const struct url *u)
{
	char *room = strbuf_room(&x->request, FETCH_REQUEST_HEAD_MAX), host[HOST_MAX + 16], target[URL_MAX + 2];
	struct wr w;

	if (!room)
		return ERR_NOMEM;
	w = wr_init(room, FETCH_REQUEST_HEAD_MAX);
	snprintf(target, sizeof(target), "%.*s%s%.*s", u->path.n ? (int)u->path.n : 1, u->path.n ? (const char *)u->path.p : "/", u->query.n ? "?" : "",
		 (int)u->query.n, u->query.n ? (const char *)u->query.p : "");
	snprintf(host, sizeof(host), u->literal.family == 6 ? "[%s]" : "%s", x->host);
	if (x->port != (x->is_tls ? 443 : 80))
		snprintf(host + strlen(host), sizeof(host) - strlen(host), ":%u", x->port);
	http_put_request(&w, x->is_post ? "POST" : "GET", SPAN(target, strlen(target)));
	http_put_field(&w, "Host", SPAN(host, strlen(host)));
	http_put_field(&w, "User-Agent", SPAN_STR("emberbox-portal"));
	http_put_field(&w, "Accept", SPAN_STR("application/json"));
	for (u32 i = 0; i < FETCH_HEADERS_MAX && rq->header[i].name; i++)
		http_put_field(&w, rq->header[i].name, SPAN(rq->header[i].value, strlen(rq->header[i].value)));
	if (x->is_post) {
		const char *type = rq->content_type ? rq->content_type : "application/x-www-form-urlencoded";
		http_put_field(&w, "Content-Type", SPAN(type, strlen(type)));
		http_put_field_u64(&w, "Content-Length", rq->body.n);
	}
	http_put_end(&w);
	if (!wr_ok(&w))
		return ERR_INVAL;
	x->request.n = wr_len(&w);
	if (x->is_post && rq->body.n > 0)
		strbuf_add(&x->request, rq->body.p, rq->body.n);
	return strbuf_ok(&x->request) ? 0 : ERR_NOMEM;
}

int fetch_start(struct fetcher *f, const struct fetch_request *rq, struct fetch **out)
{
	struct url u;
	struct fetch *x;

	if (out)
		*out = NULL;
	if (url_parse(SPAN(rq->url, strlen(rq->url)), &u) || strchr(rq->url, '#') || (!url_scheme_is(&u, "https") && !url_scheme_is(&u, "http")))
		return ERR_INVAL;
	if (f->n_queue >= FETCH_QUEUE_MAX)
		return ERR_LIMIT;
	x = calloc(1, sizeof(*x));
	if (!x)
		return ERR_NOMEM;
	x->fetcher = f;
	x->is_tls = url_scheme_is(&u, "https");
	x->port = u.port ? u.port : x->is_tls ? 443 : 80;
	x->is_post = rq->is_post;
	memcpy(x->host, u.host.p, u.host.n); /* url_parse() bounds it by HOST_MAX */
	x->body_max = rq->body_max ? rq->body_max : FETCH_BODY_MAX;
	x->done = rq->done;
	x->ctx = rq->ctx;
	x->timer = (struct loop_timer){ .cb = on_timeout, .ctx = x };
	int rc = compose(x, rq, &u);
	if (rc) {
		free_fetch(x);
		return rc;
	}
	push_back(f, x);
	f->stats.started++;
	loop_timer_set(f->loop, &x->timer, loop_now(f->loop) + (rq->timeout ? rq->timeout : FETCH_TIMEOUT));
	loop_task_queue(f->loop, &f->pump);
	if (out)
		*out = x;
	return 0;
}

void fetch_cancel(struct fetch *x)
{
	if (!x)
		return;
	struct fetcher *f = x->fetcher;
	struct wire *w = x->wire;
	fetch_detach(x);
	if (w)
		wire_free(w);
	free_fetch(x);
	loop_task_queue(f->loop, &f->pump);
}

const struct fetch_stats *fetch_stats(const struct fetcher *f)
{
	return &f->stats;
}
