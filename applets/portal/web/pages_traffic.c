/* Traffic: what gateways of ours report, by the hour (channels/hub.h). */
#include "applets/portal/model/latency.h"
#include "applets/portal/web/hours.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_overview.h"

static void add_series(struct chart *c, const char *name, const u64 *values)
{
	c->series[c->n_series].name = name;
	c->series[c->n_series++].values = values;
}

static u64 *hours_of_traffic(const struct hours *h, u32 what)
{
	char name[TRAFFIC_NAME_MAX];

	return hours_of(h, traffic_name(what, name));
}

bool traffic_chart(const struct hours *h, struct chart *c)
{
	u64 *in = hours_of_traffic(h, TRAFFIC_BYTES_IN), *out = in ? hours_of_traffic(h, TRAFFIC_BYTES_OUT) : NULL;

	*c = hours_chart(h, "Traffic of clients per hour, UTC", "bytes");
	if (!out)
		return false;
	add_series(c, "uploaded", in);
	add_series(c, "downloaded", out);
	chart_scale(c);
	return true;
}

static bool paths_chart(const struct hours *h, struct chart *c)
{
	u64 *direct = hours_of_traffic(h, TRAFFIC_SECONDS_DIRECT), *relayed = direct ? hours_of_traffic(h, TRAFFIC_SECONDS_RELAYED) : NULL;

	*c = hours_chart(h, "Minutes connected per hour, all clients together, UTC", "");
	if (!relayed)
		return false;
	for (u32 i = 0; i < HOURS_SHOWN; i++) {
		direct[i] = (direct[i] + 30) / 60;
		relayed[i] = (relayed[i] + 30) / 60;
	}
	c->is_bars = true;
	add_series(c, "direct", direct);
	add_series(c, "relayed", relayed);
	chart_scale(c);
	return true;
}

static bool latency_chart(const struct hours *h, struct chart *c)
{
	u64 *bucket[LATENCY_BUCKETS], *median = exchange_alloc(h->w->x, HOURS_SHOWN * sizeof(u64)), *slow = exchange_alloc(h->w->x, HOURS_SHOWN * sizeof(u64));

	*c = hours_chart(h, "Round trip between client and gateway, milliseconds, UTC", "");
	for (u32 b = 0; b < LATENCY_BUCKETS; b++)
		if (!(bucket[b] = hours_of_traffic(h, TRAFFIC_BUCKETS + b)))
			return false;
	if (!median || !slow) {
		web_store_failed(h->w);
		return false;
	}
	for (u32 i = 0; i < HOURS_SHOWN; i++) {
		u64 counts[LATENCY_BUCKETS];
		bool is_any = false;

		for (u32 b = 0; b < LATENCY_BUCKETS; b++) {
			counts[b] = bucket[b][i];
			is_any |= counts[b] > 0;
		}
		/* what is below one is drawn as one: 0 is nothing measured */
		median[i] = is_any ? MAX(latency_percentile(counts, 50), 1u) : 0;
		slow[i] = is_any ? MAX(latency_percentile(counts, 95), 1u) : 0;
	}
	c->skips_zero = true;
	add_series(c, "median", median);
	add_series(c, "slowest 5 %", slow);
	chart_scale(c);
	return true;
}

bool chart_is_empty(const struct chart *c)
{
	for (u32 s = 0; s < c->n_series; s++)
		for (u32 i = 0; i < c->n_points; i++)
			if (c->series[s].values[i])
				return false;
	return true;
}

void page_traffic(struct exchange *x)
{
	struct traffic_view v;
	struct hours h;
	struct web w;

	if (!web_begin(&w, x, SECTION_ACTIVITY))
		return;
	if (hours_begin(&w, &h) && traffic_chart(&h, &v.bytes) && paths_chart(&h, &v.paths) && latency_chart(&h, &v.latency)) {
		v.is_empty = chart_is_empty(&v.bytes) && chart_is_empty(&v.paths);
		page_crumb(&w.page, "Activity", web_path(&w, "/activity"));
		w.page.title = "Traffic";
		w.page.lead = "The last 24 hours as gateways report them: how much, over which path, how fast.";
		template_traffic(&x->out, &w.page, &v);
		web_send(&w, 200);
	}
	web_end(&w);
}
