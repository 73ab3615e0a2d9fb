/* /client_sessions and /gateway_sessions: one row for each connect of a device (spec 60 §1.8, §10). Their ids carry the row's number; a page's
 * cursor is that of its end: "b12" goes on before it, "a12" after it. */
#include "applets/portal/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_PREFIX "00000000-0000-8000-8000-" /* version 8: made by us */

struct sessions {
	struct api_call *c;
	struct store_sessions_query q;
	u32 n;
	struct row {
		i64 seq;
		struct store_session x;
	} *rows;
};

static void put_text(struct json_out *o, const char *key, const char *text)
{
	json_put_str(o, key, text[0] ? text : NULL);
}

static void put_degrees(struct json_out *o, const char *key, bool is_known, double degrees)
{
	char text[16];

	snprintf(text, sizeof(text), "%.4f", degrees);
	if (is_known)
		json_put_raw(o, key, SPAN(text, strlen(text)));
	else
		json_put_null(o, key);
}

static void put_session(struct json_out *o, const char *key, i64 seq, const struct store_session *x)
{
	char id[UUID_STRLEN];

	json_open(o, key);
	snprintf(id, sizeof(id), ID_PREFIX "%012llx", (unsigned long long)seq & 0xffffffffffffull);
	json_put_str(o, "id", id);
	json_put_uuid(o, x->is_gateway ? "gateway_id" : "client_id", &x->device_id);
	json_put_uuid(o, x->is_gateway ? "gateway_token_id" : "client_token_id", &x->token_id);
	put_text(o, "last_seen_user_agent", x->user_agent);
	put_text(o, "last_seen_remote_ip", x->remote_ip);
	put_text(o, "last_seen_remote_ip_location_region", x->region);
	put_text(o, "last_seen_remote_ip_location_city", x->city);
	put_degrees(o, "last_seen_remote_ip_location_lat", x->place.is_known, x->place.lat);
	put_degrees(o, "last_seen_remote_ip_location_lon", x->place.is_known, x->place.lon);
	put_text(o, "last_seen_version", x->version);
	api_put_time(o, "last_seen_at", x->at);
	api_put_time(o, "created_at", x->at);
	json_close(o);
}

static int keep(void *ctx, i64 seq, const struct store_session *x)
{
	struct sessions *s = ctx;

	s->rows[s->n++] = (struct row){ seq, *x };
	return 0;
}

static bool read_cursor(struct sessions *s, const char *cursor)
{
	char *end;

	if (!cursor)
		return true;
	long long n = strtoll(cursor + (cursor[0] != 0), &end, 10);
	if ((cursor[0] != 'a' && cursor[0] != 'b') || n <= 0 || *end) {
		api_fail(s->c, 400, "The cursor is not of this list");
		return false;
	}
	if (cursor[0] == 'a')
		s->q.after = n;
	else
		s->q.before = n;
	return true;
}

/* One more than the page is asked for, so that it is known whether there are more in that direction. */
static void send_page(struct sessions *s, u32 limit, i64 count)
{
	bool is_back = s->q.after != 0, has_more = s->n > limit;
	u32 n = MIN(s->n, limit);
	struct store_page page = { .n = n, .count = count };
	struct json_out *o = &s->c->out;

	json_open(o, NULL);
	json_open_array(o, "data");
	for (u32 i = 0; i < n; i++) {
		const struct row *r = &s->rows[is_back ? n - 1 - i : i];
		put_session(o, NULL, r->seq, &r->x);
	}
	json_close_array(o);
	page.has_next = n > 0 && (is_back || has_more);
	page.has_prev = n > 0 && (is_back ? has_more : s->q.before != 0);
	if (n > 0) {
		snprintf(page.next, sizeof(page.next), "b%lld", (long long)s->rows[is_back ? 0 : n - 1].seq);
		snprintf(page.prev, sizeof(page.prev), "a%lld", (long long)s->rows[is_back ? n - 1 : 0].seq);
	}
	api_put_metadata(s->c, &page, limit);
	json_close(o);
	api_send(s->c, 200);
}

static void list(struct exchange *x, bool is_gateway)
{
	struct store_query page = { .kind = KIND_COUNT };
	struct api_call c;
	struct sessions s = { .c = &c, .q = { .is_gateway = is_gateway } };
	const char *device;
	i64 count;

	if (!api_begin(&c, x) || !api_page_query(&c, &page) || !api_query(&c, is_gateway ? "gateway_id" : "client_id", &device) ||
	    !read_cursor(&s, page.cursor))
		return;
	s.q.account = c.account->e.id;
	s.q.limit = page.limit + 1;
	if (device && uuid_parse(SPAN(device, strlen(device)), &s.q.device)) {
		api_fail(&c, 400, "The query holds something that is no id");
		return;
	}
	s.rows = exchange_alloc(x, (page.limit + 1) * sizeof(*s.rows));
	int rc = s.rows ? store_sessions(x->portal->store, &s.q, keep, &s) : ERR_NOMEM;
	rc = rc ? rc : store_sessions_count(x->portal->store, &s.q, &count);
	if (rc)
		api_fail_store(&c, rc);
	else
		send_page(&s, page.limit, count);
}

static void show(struct exchange *x, bool is_gateway)
{
	struct api_call c;
	struct sessions s = { .c = &c, .q = { .is_gateway = is_gateway, .limit = 1 } };
	char text[UUID_STRLEN];
	struct uuid id;
	long long seq;

	if (!api_begin(&c, x) || !api_id(&c, 0, &id))
		return;
	seq = strtoll(uuid_format(&id, text) + strlen(ID_PREFIX), NULL, 16);
	s.q.account = c.account->e.id;
	s.q.before = seq + 1;
	s.rows = exchange_alloc(x, sizeof(*s.rows));
	int rc = s.rows ? store_sessions(x->portal->store, &s.q, keep, &s) : ERR_NOMEM;
	if (!rc && (strncmp(text, ID_PREFIX, strlen(ID_PREFIX)) != 0 || s.n != 1 || s.rows[0].seq != seq))
		rc = ERR_NOT_FOUND;
	if (rc) {
		api_fail_store(&c, rc);
		return;
	}
	json_open(&c.out, NULL);
	put_session(&c.out, "data", seq, &s.rows[0].x);
	json_close(&c.out);
	api_send(&c, 200);
}

void api_client_sessions(struct exchange *x)
{
	list(x, false);
}

void api_gateway_sessions(struct exchange *x)
{
	list(x, true);
}

void api_client_session(struct exchange *x)
{
	show(x, false);
}

void api_gateway_session(struct exchange *x)
{
	show(x, true);
}
