#include "applets/portal/http/metrics.h"

#include "applets/portal/http/exchange_int.h"
#include "applets/portal/http/live.h"
#include "applets/version.h"
#include "core/base/time.h"

#include <inttypes.h>

#define NS "emberbox_portal_"

static const struct {
	u64 ns;
	const char *secs;
} bounds[DURATION_BUCKETS] = {
	{ USEC(500), "0.0005" }, { MSEC(1), "0.001" },	{ USEC(2500), "0.0025" }, { MSEC(5), "0.005" }, { MSEC(10), "0.01" }, { MSEC(25), "0.025" },
	{ MSEC(50), "0.05" },	 { MSEC(100), "0.1" }, { MSEC(250), "0.25" },	 { SEC(1), "1" },	 { SEC(5), "5" },
};

static const char *const area_names[AREAS] = { [AREA_PLAIN] = "plain", [AREA_API] = "api", [AREA_WEB] = "web" };

void metrics_request(struct http_stats *s, enum area_kind area, u16 status, u64 duration_ns)
{
	u32 bucket = 0;

	if (status >= 100 && status < 100 + 100 * STATUS_CLASSES)
		s->requests[area][status / 100 - 1]++;
	while (bucket < DURATION_BUCKETS && duration_ns > bounds[bucket].ns)
		bucket++;
	s->duration[area][bucket]++;
	s->duration_ns[area] += duration_ns;
}

/* ---- text ---------------------------------------------------------------------------------------------------------------------- */

static void head(struct strbuf *b, const char *name, const char *type, const char *help)
{
	strbuf_printf(b, "# HELP " NS "%s %s\n# TYPE " NS "%s %s\n", name, help, name, type);
}

static void one(struct strbuf *b, const char *name, const char *type, const char *help, u64 value)
{
	head(b, name, type, help);
	strbuf_printf(b, NS "%s %" PRIu64 "\n", name, value);
}

static void put_seconds(struct strbuf *b, const char *name, u64 ns)
{
	strbuf_printf(b, NS "%s %" PRIu64 ".%09" PRIu64 "\n", name, (u64)(ns / NSEC_PER_SEC), (u64)(ns % NSEC_PER_SEC));
}

struct labelled {
	const char *label;
	u64 value;
};

static void many(struct strbuf *b, const char *name, const char *type, const char *help, const char *key, const struct labelled *l, size_t n)
{
	head(b, name, type, help);
	for (size_t i = 0; i < n; i++)
		strbuf_printf(b, NS "%s{%s=\"%s\"} %" PRIu64 "\n", name, key, l[i].label, l[i].value);
}

static void put_requests(struct strbuf *b, const struct http_stats *st)
{
	head(b, "http_requests_total", "counter", "answered requests by area and class of status");
	for (u32 a = 0; a < AREAS; a++)
		for (u32 c = 0; c < STATUS_CLASSES; c++)
			if (st->requests[a][c])
				strbuf_printf(b, NS "http_requests_total{area=\"%s\",status=\"%uxx\"} %" PRIu64 "\n", area_names[a], c + 1,
					      st->requests[a][c]);
	head(b, "http_request_duration_seconds", "histogram", "from the head of a request to the last byte of its answer");
	for (u32 a = 0; a < AREAS; a++) {
		u64 sum = 0;

		for (u32 i = 0; i <= DURATION_BUCKETS; i++) {
			sum += st->duration[a][i];
			strbuf_printf(b, NS "http_request_duration_seconds_bucket{area=\"%s\",le=\"%s\"} %" PRIu64 "\n", area_names[a],
				      i < DURATION_BUCKETS ? bounds[i].secs : "+Inf", sum);
		}
		strbuf_printf(b, NS "http_request_duration_seconds_sum{area=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n", area_names[a],
			      (u64)(st->duration_ns[a] / NSEC_PER_SEC), (u64)(st->duration_ns[a] % NSEC_PER_SEC));
		strbuf_printf(b, NS "http_request_duration_seconds_count{area=\"%s\"} %" PRIu64 "\n", area_names[a], sum);
	}
}

static void put_http(struct strbuf *b, const struct server *s)
{
	const struct http_stats *st = &s->stats;

	one(b, "connections", "gauge", "open TCP connections", s->n_conns);
	one(b, "connections_total", "counter", "TCP connections taken", st->connections);
	one(b, "connections_refused_total", "counter", "TCP connections refused because their address had too many open", s->crowd.refused);
	one(b, "upgrades_total", "counter", "connections that became sockets of peers", st->upgrades);
	one(b, "live_streams", "gauge", "open pages that follow changes", live_count(s->portal->live));
	one(b, "http_refused_total", "counter", "requests refused before a page or an API saw them", st->refused_requests);
	one(b, "http_timeouts_total", "counter", "connections given up because the peer was too slow", st->timeouts);
	many(b, "rate_limited_total", "counter", "requests over a rate limit", "area",
	     (struct labelled[]){ { "web", s->web_rate.refused }, { "api", s->api_rate.refused } }, 2);
	put_requests(b, st);
}

static void put_hub(struct strbuf *b, const struct hub *hub)
{
	struct hub_stats st;

	hub_stats(hub, &st);
	many(b, "peers", "gauge", "joined peers: who is online", "role",
	     (struct labelled[]){ { "client", st.clients }, { "gateway", st.gateways }, { "relay", st.relays } }, 3);
	one(b, "socket_connects_total", "counter", "sockets admitted", st.connects);
	many(b, "socket_refusals_total", "counter", "sockets refused", "reason",
	     (struct labelled[]){ { "token", st.refused_token }, { "rate", st.refused_rate }, { "other", st.refused_other } }, 3);
	many(b, "flows_total", "counter", "answers to create_flow", "result",
	     (struct labelled[]){ { "created", st.flows_created },
				  { "not_found", st.flows_not_found },
				  { "forbidden", st.flows_forbidden },
				  { "offline", st.flows_offline },
				  { "version_mismatch", st.flows_version },
				  { "timed_out", st.flows_timed_out } },
	     6);
	one(b, "peers_evicted_total", "counter", "sockets closed because the same device connected again", st.evicted);
	one(b, "limits_reached_total", "counter", "times a table of the hub was full", st.limits_reached);
	one(b, "store_errors_total", "counter", "writes of the hub that the database refused", st.store_errors);
}

/* Whether somebody had to wait for something that took its time: nothing shall take longer than 5 ms. */
static void put_callbacks(struct strbuf *b, struct loop *loop)
{
	static const char *const secs[LOOP_SPANS + 1] = { "0.0001", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.05", "+Inf" };
	const struct loop_stats *st = loop_stats(loop);
	struct loop_longest longest = loop_longest(loop);
	u64 sum = 0;

	head(b, "loop_callback_seconds", "histogram", "what the event loop did in one go");
	for (u32 i = 0; i <= LOOP_SPANS; i++) {
		sum += st->took[i];
		strbuf_printf(b, NS "loop_callback_seconds_bucket{le=\"%s\"} %" PRIu64 "\n", secs[i], sum);
	}
	put_seconds(b, "loop_callback_seconds_sum", st->took_ns);
	strbuf_printf(b, NS "loop_callback_seconds_count %" PRIu64 "\n", sum);
	head(b, "loop_callback_longest_seconds", "gauge", "the longest of these since this was last asked");
	put_seconds(b, "loop_callback_longest_seconds", longest.took);
	head(b, "loop_callback_longest_work_seconds", "gauge", "the most CPU time of these since this was last asked: what is longer waited");
	put_seconds(b, "loop_callback_longest_work_seconds", longest.worked);
}

static void put_loop(struct strbuf *b, struct loop *loop)
{
	const struct loop_stats *st = loop_stats(loop);

	one(b, "loop_turns_total", "counter", "turns of the event loop", st->turns);
	one(b, "loop_yields_total", "counter", "turns cut short because there was too much to do", st->yields_iterations + st->yields_time);
	put_callbacks(b, loop);
}

/* ---- who may ask --------------------------------------------------------------------------------------------------------------------- */

static bool is_private(const struct ip *ip)
{
	static const struct cidr networks[] = {
		{ { { 10 }, 4 }, 8 }, { { { 172, 16 }, 4 }, 12 }, { { { 192, 168 }, 4 }, 16 }, { { { 169, 254 }, 4 }, 16 }, { { { 0xfc }, 6 }, 7 },
	};

	if (ip_is_loopback(ip) || ip_is_link_local(ip))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(networks); i++)
		if (cidr_contains(&networks[i], ip))
			return true;
	return false;
}

static bool may_ask(const struct exchange *x)
{
	switch (run_of(x)->server->cfg->metrics) {
	case METRICS_OFF:
		return false;
	case METRICS_ALL:
		return true;
	case METRICS_LOCAL:
		break;
	}
	return is_private(&x->remote_ip) && !http_field(x->head, "x-forwarded-for").p && !http_field(x->head, "forwarded").p &&
	       !http_field(x->head, "via").p;
}

void metrics_serve(struct exchange *x)
{
	const struct server *s = run_of(x)->server;
	struct strbuf *b = &x->out;

	if (!may_ask(x)) {
		exchange_problem(x, 404, NULL);
		return;
	}
	exchange_header(x, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	head(b, "info", "gauge", "which version runs");
	strbuf_puts(b, NS "info{version=\"" EMBERBOX_VERSION "\"} 1\n");
	one(b, "ready", "gauge", "1 when /readyz says ready but for the database", !s->is_starting && !s->is_stopping);
	put_http(b, s);
	if (!s->is_starting) {
		struct store_disk disk = store_disk(s->portal->store);

		one(b, "store_writable", "gauge", "0 while nothing can be saved: disk full or read-only, file gone", store_trouble(s->portal->store) == NULL);
		one(b, "store_syncs_total", "counter", "times the disk was told to keep what was written", disk.syncs);
		one(b, "store_waits_total", "counter", "times the event loop waited for the disk, which was too far behind", disk.waits);
	}
	put_loop(b, s->loop);
	if (s->portal->hub)
		put_hub(b, s->portal->hub);
	exchange_send(x);
}
