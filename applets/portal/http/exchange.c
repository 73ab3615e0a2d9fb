#define LOG_TARGET "portal::http"

#include "applets/portal/http/exchange_int.h"

#include "applets/portal/geo_db.h"
#include "applets/portal/model/forwarded.h"
#include "core/base/encode.h"
#include "core/base/log.h"

#include <ctype.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LOGGED_PATH_MAX 128

struct piece {
	struct piece *next;
	size_t n;
	alignas(max_align_t) u8 bytes[];
};

/* ---- the request ------------------------------------------------------------------------------------------------------------------ */

static enum method method_of(struct span name, bool *is_head)
{
	static const struct {
		const char *name;
		enum method method;
	} methods[] = { { "GET", METHOD_GET }, { "HEAD", METHOD_GET }, { "POST", METHOD_POST }, { "PUT", METHOD_PUT },
			{ "PATCH", METHOD_PATCH }, { "DELETE", METHOD_DELETE } };

	*is_head = false;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (name.n == strlen(methods[i].name) && memcmp(name.p, methods[i].name, name.n) == 0) {
			*is_head = i == 1;
			return methods[i].method;
		}
	return METHOD_OTHER;
}

/* Without empty segments, which are nobody's: an app of Firezone whose portal address ends in a slash asks for "//slug". */
static struct span tidy_path(struct exchange *x, struct span path)
{
	u8 *out;
	size_t n = 0;

	if (path.n < 2 || path.p[0] != '/' || (path.p[path.n - 1] != '/' && !memmem(path.p, path.n, "//", 2)) ||
	    !(out = exchange_alloc(x, path.n)))
		return path;
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] != '/' || (i + 1 < path.n && path.p[i + 1] != '/'))
			out[n++] = path.p[i];
	return n > 0 ? SPAN(out, n) : SPAN_STR("/");
}

/* "/path?query", or an absolute URL, whose host says nothing here (RFC 9112 §3.2.2). What is neither has the path "*". */
static void split_target(struct exchange *x, struct span target)
{
	const u8 *mark, *slash;

	if (target.p[0] != '/') {
		mark = memmem(target.p, target.n, "://", 3);
		slash = mark ? memchr(mark + 3, '/', target.n - (size_t)(mark + 3 - target.p)) : NULL;
		target = slash ? SPAN(slash, target.n - (size_t)(slash - target.p)) : mark ? SPAN_STR("/") : SPAN_STR("*");
	}
	mark = memchr(target.p, '?', target.n);
	x->path = mark ? SPAN(target.p, (size_t)(mark - target.p)) : target;
	x->query = mark ? SPAN(mark + 1, target.n - x->path.n - 1) : SPAN_STR("");
	x->path = tidy_path(x, x->path);
}

/* spec 60 §0.3: the database's word, then that of the proxy; a country alone is somewhere too. */
static void read_place(struct exchange *x, const struct geo_db *db)
{
	struct span region = SPAN_NONE;

	if (db && geo_db_find(db, &x->remote_ip, x->region, x->city, &x->place)) {
		/* nobody else is asked */
	} else if (run_of(x)->is_proxied) {
		region = http_field(x->head, "x-azure-geo-country");
		if (region.n != 2) {
			region = http_field(x->head, "x-geo-location-region");
			city_set(x->city, http_field(x->head, "x-geo-location-city"));
			x->place = place_parse(http_field(x->head, "x-geo-location-coordinates"));
		}
	}
	if (region.n == 2 && isalpha(region.p[0]) && isalpha(region.p[1])) {
		x->region[0] = (char)(region.p[0] & ~0x20);
		x->region[1] = (char)(region.p[1] & ~0x20);
	}
	if (!x->place.is_known && x->region[0])
		x->place = place_of_region(x->region);
}

static void read_client(struct exchange *x, const struct server *s, const struct ip *hop)
{
	const struct serve_config *cfg = s->cfg;
	struct span agent = http_field(x->head, "user-agent");
	const struct forwarders f = { .proxies = cfg->proxies, .n_proxies = cfg->n_proxies,
				      .clients = cfg->private_clients, .n_clients = cfg->n_private_clients };
	size_t n = MIN(agent.n, sizeof(x->user_agent) - 1);

	x->remote_ip = forwarded_real_ip(*hop, http_field(x->head, "x-forwarded-for"), &f);
	run_of(x)->is_proxied = forwarded_is_proxy(&f, hop);
	read_place(x, s->geo_db);
	for (size_t i = 0; i < n; i++)
		x->user_agent[i] = agent.p[i] < 0x20 || agent.p[i] >= 0x7f ? '?' : (char)agent.p[i];
}

struct run *exchange_new(struct server *s, const struct http_head *h, const struct ip *hop, void (*wake)(void *), void *conn)
{
	struct run *r = calloc(1, sizeof(*r));
	struct exchange *x;
	u8 nonce[16];

	if (!r)
		return NULL;
	x = &r->x;
	r->server = s;
	r->wake = wake;
	r->conn = conn;
	r->status = 200;
	r->has_body_coming = h->is_chunked || (h->has_length && h->length > 0);
	r->must_close = !h->keep_alive;
	x->portal = s->portal;
	x->loop = s->loop;
	x->now = r->started = loop_now(s->loop);
	r->sweeps = s->portal->store ? store_sweeps(s->portal->store) : 0;
	x->wall = loop_wall(s->loop);
	x->head = h;
	x->is_https = s->is_https;
	x->method = method_of(h->method, &r->is_head);
	split_target(x, h->target);
	read_client(x, s, hop);
	rng_fill(s->portal->rng, nonce, sizeof(nonce));
	(void)base64url_encode(x->nonce, sizeof(x->nonce), SPAN(nonce, sizeof(nonce)));
	router_find(x, &r->match);
	return r;
}

bool exchange_is_refused(const struct run *r)
{
	return r->match.status != 0;
}

u64 exchange_body_max(const struct run *r)
{
	const struct route *route = r->match.route;

	return route && route->body_max ? route->body_max : EXCHANGE_BODY_MAX;
}

static void send_allow(struct run *r)
{
	static const char *const names[] = { "GET, HEAD", "POST", "PUT", "PATCH", "DELETE" };
	struct strbuf list = { 0 };

	for (u32 i = 0; i < ARRAY_LEN(names); i++)
		if (r->match.allowed & 1u << i)
			strbuf_printf(&list, "%s%s", list.n ? ", " : "", names[i]);
	(void)exchange_add_field(r, "Allow", strbuf_text(&list));
	strbuf_free(&list);
}

void exchange_refuse(struct run *r, u16 status, const char *reason)
{
	r->server->stats.refused_requests++;
	if (r->has_body_coming)
		r->must_close = true; /* whatever of it is still on its way is not looked at */
	exchange_problem(&r->x, status, reason);
}

/* Of spec 60 §6.1, where pages ask over one socket; ours are loaded one by one, so looking costs a tenth of doing. */
static struct rate_rule web_rule(const struct run *r)
{
	struct rate_rule rule = r->server->cfg->web_rate;

	if (r->x.method == METHOD_GET)
		rule.cost = MAX(rule.cost / 10, 1u);
	return rule;
}

static bool is_web_limited(struct run *r)
{
	const struct rate_rule rule = web_rule(r);
	u8 key[RATE_KEY_LEN] = { r->x.remote_ip.family };
	u32 wait;

	if (r->match.area->kind != AREA_WEB || (r->match.route && r->match.route->flags & ROUTE_UNLIMITED))
		return false;
	memcpy(key + 1, r->x.remote_ip.b, r->x.remote_ip.family == 6 ? 8 : 4); /* who has one address of a /64 has them all */
	if (rate_take(&r->server->web_rate, r->x.now, key, &rule, &wait) == 0)
		return false;
	exchange_header(&r->x, "Retry-After", "%u", wait);
	exchange_refuse(r, 429, "You are asking faster than this portal answers. Wait a moment, then try again.");
	return true;
}

void exchange_run(struct run *r, struct span body)
{
	struct exchange *x = &r->x;
	const char *reason;

	x->body = body;
	r->has_body_coming = r->has_body_coming && exchange_is_refused(r);
	if (r->server->is_starting && r->match.area->kind != AREA_PLAIN) {
		exchange_header(x, "Retry-After", "1");
		exchange_refuse(r, 503, "The portal is starting.");
		return;
	}
	if (is_web_limited(r))
		return;
	if (r->match.status) {
		if (r->match.status == 405)
			send_allow(r);
		exchange_refuse(r, r->match.status, NULL);
		return;
	}
	if (r->match.area->kind == AREA_WEB && x->method != METHOD_GET && !(r->match.route->flags & ROUTE_NO_CSRF)) {
		reason = browser_check_csrf(r);
		if (reason) {
			exchange_refuse(r, 403, reason);
			return;
		}
		if (exchange_form_is_spoiled(r)) { /* a field that is absent keeps what it was: "saved" would be a lie */
			exchange_refuse(r, 400, "Something in this form is no text, or there is too much of it. Nothing was changed.");
			return;
		}
	}
	r->match.route->handler(x);
	if (r->answer == ANSWER_NONE) {
		log_error("a page did not answer", kv_s("route", r->match.route->pattern));
		exchange_problem(x, 500, NULL);
	}
}

/* ---- the answer -------------------------------------------------------------------------------------------------------------------- */

void exchange_status(struct exchange *x, u16 status)
{
	run_of(x)->status = status;
}

static bool is_line(const char *s)
{
	for (; *s; s++)
		if (((u8)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

bool exchange_add_field(struct run *r, const char *name, const char *value)
{
	if (!is_line(name) || !is_line(value)) {
		r->fields.failed = true;
		return false;
	}
	strbuf_printf(&r->fields, "%s: %s\r\n", name, value);
	return true;
}

void exchange_header(struct exchange *x, const char *name, const char *fmt, ...)
{
	struct run *r = run_of(x);
	struct strbuf value = { 0 };
	char *room;
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	room = n < 0 ? NULL : strbuf_room(&value, (size_t)n);
	if (room)
		vsnprintf(room, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	if (room && strcasecmp(name, "content-type") == 0) {
		snprintf(r->type, sizeof(r->type), "%s", room);
	} else if (!room || !exchange_add_field(r, name, room)) {
		r->fields.failed = true;
	} else if (strcasecmp(name, "cache-control") == 0) {
		r->has_cache_control = true;
	}
	strbuf_free(&value);
}

void exchange_allow_forms_to(struct exchange *x, const char *source)
{
	struct run *r = run_of(x);
	size_t n = strlen(r->form_action);

	if (strpbrk(source, "; ,\r\n") || n + 1 + strlen(source) >= sizeof(r->form_action))
		r->fields.failed = true;
	else
		snprintf(r->form_action + n, sizeof(r->form_action) - n, " %s", source);
}

static bool has_no_content(const struct run *r)
{
	return r->status == 204 || r->status == 304;
}

static void write_head(struct run *r)
{
	char date[HTTP_DATE_STRLEN];
	struct strbuf *b = &r->head;

	if (r->server->is_stopping)
		r->must_close = true;
	if (!has_no_content(r))
		(void)exchange_add_field(r, "Content-Type", r->type[0] ? r->type : "text/html; charset=utf-8");
	browser_save(r);
	headers_add(r);
	strbuf_printf(b, "HTTP/1.1 %u %s\r\nDate: %s\r\n", r->status, http_reason(r->status),
		      http_date_format(loop_wall(r->server->loop) / NSEC_PER_SEC, date));
	strbuf_add(b, strbuf_text(&r->fields), r->fields.n);
	if (r->answer == ANSWER_STREAMING) {
		r->is_chunked = r->x.head->minor > 0;
		r->must_close = r->must_close || !r->is_chunked;
		if (r->is_chunked)
			strbuf_puts(b, "Transfer-Encoding: chunked\r\n");
	} else if (!has_no_content(r)) {
		strbuf_printf(b, "Content-Length: %zu\r\n", r->x.out.n);
	}
	strbuf_printf(b, "Connection: %s\r\n\r\n", r->must_close ? "close" : "keep-alive");
	b->failed = b->failed || r->fields.failed;
}

/* What was to be said cannot be: memory ran out, or a value would have broken the head. */
static void write_failure(struct run *r)
{
	log_error("an answer could not be written", kv_s("route", r->match.route ? r->match.route->pattern : ""),
		  kv_b("header", r->fields.failed));
	strbuf_reset(&r->x.out);
	strbuf_reset(&r->head);
	r->must_close = true;
	r->status = 500;
	strbuf_puts(&r->head, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	if (!strbuf_ok(&r->head))
		r->answer = ANSWER_BROKEN;
	else if (r->answer == ANSWER_STREAMING)
		r->answer = ANSWER_ENDED;
}

static void compose(struct run *r)
{
	write_head(r);
	if (!strbuf_ok(&r->head) || !strbuf_ok(&r->x.out))
		write_failure(r);
	if (r->is_head || has_no_content(r))
		strbuf_reset(&r->x.out);
}

static bool may_answer(struct run *r)
{
	if (r->answer == ANSWER_NONE || r->answer == ANSWER_DEFERRED)
		return true;
	log_error("a page answered twice", kv_s("route", r->match.route ? r->match.route->pattern : ""));
	return false;
}

void exchange_send(struct exchange *x)
{
	struct run *r = run_of(x);

	if (!may_answer(r))
		return;
	r->gone = NULL;
	r->answer = ANSWER_COMPLETE;
	compose(r);
	if (r->match.area->kind != AREA_PLAIN && x->portal->store)
		server_hold(r->server, &r->held, r->sweeps, r->wake, r->conn);
	r->wake(r->conn);
}

static void on_due(void *ctx, u64 now)
{
	struct run *r = ctx;

	(void)now;
	r->answer = ANSWER_DEFERRED;
	exchange_send(&r->x);
}

void exchange_send_at(struct exchange *x, u64 due)
{
	struct run *r = run_of(x);

	if (due <= loop_now(x->loop)) {
		exchange_send(x);
		return;
	}
	if (!may_answer(r))
		return;
	r->gone = NULL;
	r->answer = ANSWER_WAITING;
	r->timer.cb = on_due;
	r->timer.ctx = r;
	loop_timer_set(x->loop, &r->timer, due);
}

void exchange_redirect(struct exchange *x, const char *fmt, ...)
{
	char *to = NULL;
	va_list ap;

	if (!may_answer(run_of(x)))
		return;
	va_start(ap, fmt);
	if (vasprintf(&to, fmt, ap) < 0)
		to = NULL;
	va_end(ap);
	strbuf_reset(&x->out);
	if (to)
		exchange_header(x, "Location", "%s", to);
	else
		run_of(x)->fields.failed = true;
	free(to);
	exchange_header(x, "Content-Type", "text/plain; charset=utf-8");
	exchange_status(x, 303);
	exchange_send(x);
}

void exchange_problem(struct exchange *x, u16 status, const char *reason)
{
	if (!may_answer(run_of(x)))
		return;
	strbuf_reset(&x->out);
	run_of(x)->match.area->problem(x, status, reason);
}

void exchange_defer(struct exchange *x, void (*gone)(void *ctx), void *ctx)
{
	struct run *r = run_of(x);

	if (!may_answer(r))
		return;
	r->answer = ANSWER_DEFERRED;
	r->gone = gone;
	r->ctx = ctx;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------------------ */

static void add_chunk(struct run *r, struct span bytes)
{
	struct strbuf *out = &r->x.out;

	if (bytes.n == 0)
		return;
	if (r->is_chunked)
		strbuf_printf(out, "%zx\r\n", bytes.n);
	strbuf_add(out, bytes.p, bytes.n);
	if (r->is_chunked)
		strbuf_puts(out, "\r\n");
}

void exchange_stream(struct exchange *x, void (*gone)(void *ctx), void *ctx)
{
	struct run *r = run_of(x);
	struct strbuf first = x->out;

	if (!may_answer(r))
		return;
	x->out = (struct strbuf){ .max = EXCHANGE_STREAM_MAX + 65536u };
	r->answer = ANSWER_STREAMING;
	r->gone = gone;
	r->ctx = ctx;
	compose(r);
	if (r->answer == ANSWER_STREAMING && r->is_head)
		r->answer = ANSWER_ENDED;
	else if (r->answer == ANSWER_STREAMING)
		add_chunk(r, strbuf_span(&first));
	strbuf_free(&first);
	r->wake(r->conn);
}

void exchange_push(struct exchange *x, struct span bytes)
{
	struct run *r = run_of(x);

	if (r->answer != ANSWER_STREAMING)
		return;
	if (r->out_done > 0 && r->out_done == x->out.n) {
		strbuf_reset(&x->out);
		r->out_done = 0;
	}
	if (x->out.n - r->out_done + bytes.n > EXCHANGE_STREAM_MAX)
		r->answer = ANSWER_BROKEN;
	if (r->out_done >= EXCHANGE_STREAM_MAX / 4) {
		memmove(x->out.p, x->out.p + r->out_done, x->out.n - r->out_done);
		x->out.n -= r->out_done;
		r->out_done = 0;
	}
	if (r->answer == ANSWER_STREAMING)
		add_chunk(r, bytes);
	if (!strbuf_ok(&x->out))
		r->answer = ANSWER_BROKEN;
	r->wake(r->conn);
}

void exchange_end(struct exchange *x)
{
	struct run *r = run_of(x);

	r->gone = NULL;
	if (r->answer != ANSWER_STREAMING)
		return;
	if (r->is_chunked)
		strbuf_puts(&x->out, "0\r\n\r\n");
	r->answer = strbuf_ok(&x->out) ? ANSWER_ENDED : ANSWER_BROKEN;
	r->wake(r->conn);
}

/* ---- for the connection ---------------------------------------------------------------------------------------------------------------- */

struct span exchange_output(struct run *r)
{
	struct strbuf *out = &r->x.out;

	if (r->held.ticket)
		return SPAN_NONE;
	switch (r->answer) {
	case ANSWER_NONE:
	case ANSWER_DEFERRED:
	case ANSWER_WAITING:
	case ANSWER_BROKEN:
		return SPAN_NONE;
	case ANSWER_COMPLETE:
	case ANSWER_STREAMING:
	case ANSWER_ENDED:
		break;
	}
	if (r->head_done < r->head.n)
		return SPAN(r->head.p + r->head_done, r->head.n - r->head_done);
	return r->out_done < out->n ? SPAN(out->p + r->out_done, out->n - r->out_done) : SPAN_NONE;
}

void exchange_output_done(struct run *r, size_t n)
{
	if (r->head_done < r->head.n)
		r->head_done += n;
	else
		r->out_done += n;
}

bool exchange_is_over(const struct run *r)
{
	return (r->answer == ANSWER_COMPLETE || r->answer == ANSWER_ENDED) && r->head_done == r->head.n && r->out_done == r->x.out.n;
}

bool exchange_is_broken(const struct run *r)
{
	return r->answer == ANSWER_BROKEN;
}

bool exchange_is_waiting(const struct run *r)
{
	return r->answer == ANSWER_DEFERRED || r->answer == ANSWER_WAITING || r->held.ticket ||
	       (r->answer == ANSWER_STREAMING && r->head_done == r->head.n && r->out_done == r->x.out.n);
}

bool exchange_is_stream(const struct run *r)
{
	return r->answer == ANSWER_STREAMING;
}

bool exchange_keeps_alive(const struct run *r)
{
	return !r->must_close;
}

void exchange_give_up(struct run *r)
{
	void (*gone)(void *) = r->gone;

	if (r->held.ticket)
		r->answer = ANSWER_BROKEN; /* nobody can say whether it will be on the disk */
	if (r->answer != ANSWER_DEFERRED && r->answer != ANSWER_STREAMING)
		return;
	r->gone = NULL;
	if (gone)
		gone(r->ctx);
	if (r->answer == ANSWER_STREAMING) {
		exchange_end(&r->x);
		return;
	}
	exchange_header(&r->x, "Retry-After", "1");
	exchange_refuse(r, 503, r->server->is_stopping ? "The portal is going down. Try again in a moment." :
							 "This took too long. Try again in a moment.");
}

static void account_for(struct run *r)
{
	const struct route *route = r->match.route;
	u64 took = time_since(loop_now(r->server->loop), r->started);
	struct span path = SPAN(r->x.path.p, MIN(r->x.path.n, (size_t)LOGGED_PATH_MAX));

	if (r->answer == ANSWER_NONE)
		return;
	metrics_request(&r->server->stats, r->match.area->kind, r->status, took);
	if (route && route->flags & ROUTE_SECRET_PATH)
		path = SPAN(route->pattern, strlen(route->pattern));
	log_at(r->match.area->kind == AREA_PLAIN ? LOG_DEBUG : LOG_INFO, "request", kv_sn("method", r->x.head->method), kv_sn("path", path),
	       kv_u("status", r->status), kv_u("ms", took / 1000000u), kv_ip("remote", &r->x.remote_ip));
}

void exchange_free(struct run *r)
{
	if (!r)
		return;
	if (r->gone)
		r->gone(r->ctx);
	account_for(r);
	loop_timer_clear(r->server->loop, &r->timer);
	held_cancel(&r->held);
	while (r->memory) {
		struct piece *next = r->memory->next;
		sodium_memzero(r->memory->bytes, r->memory->n);
		free(r->memory);
		r->memory = next;
	}
	if (r->x.out.p)
		sodium_memzero(r->x.out.p, r->x.out.n); /* pages show tokens, once */
	strbuf_free(&r->x.out);
	strbuf_free(&r->fields);
	strbuf_free(&r->head);
	free(r);
}

void *exchange_alloc(struct exchange *x, size_t n)
{
	struct run *r = run_of(x);
	struct piece *p = n <= STRBUF_MAX ? calloc(1, sizeof(*p) + n) : NULL;

	if (!p)
		return NULL;
	p->next = r->memory;
	p->n = n;
	r->memory = p;
	return p->bytes;
}

bool exchange_within_limit(struct exchange *x, const struct uuid *account, u32 capacity, u32 refill)
{
	struct run *r = run_of(x);
	struct rate_rule rule = r->server->cfg->api_rate;
	u8 key[RATE_KEY_LEN] = { 0 };
	u32 wait;

	if (capacity)
		rule.capacity = capacity;
	if (refill)
		rule.refill = refill;
	memcpy(key, account->b, sizeof(account->b));
	if (rate_take(&r->server->api_rate, x->now, key, &rule, &wait) == 0)
		return true;
	exchange_header(x, "Retry-After", "%u", wait);
	exchange_problem(x, 429, NULL);
	return false;
}
