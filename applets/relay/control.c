#include "applets/relay/control.h"

#include "core/base/err.h"

#include <stdio.h>
#include <stdlib.h>

struct control {
	struct control_config cfg;
	struct httpd *httpd;
};

static void put(struct wr *out, const char *name, const char *labels, u64 value)
{
	char line[128];

	snprintf(line, sizeof(line), "%s%s %llu\n", name, labels, (unsigned long long)value);
	wr_str(out, line);
}

void control_metrics(const struct turn_server_stats *st, struct wr *out)
{
	wr_str(out, "# HELP allocations_total allocations at present\n# TYPE allocations_total gauge\n");
	put(out, "allocations_total", "", st->allocations);
	wr_str(out, "# HELP channels_total channels at present\n# TYPE channels_total gauge\n");
	put(out, "channels_total", "", st->channels);
	wr_str(out, "# HELP responses_total answers to STUN and TURN requests\n# TYPE responses_total counter\n");
	put(out, "responses_total", "{response_class=\"success\"}", st->tx_successes);
	put(out, "responses_total", "{response_class=\"error\"}", st->tx_errors);
	wr_str(out, "# HELP data_relayed_userspace_bytes payload relayed\n# TYPE data_relayed_userspace_bytes counter\n");
	put(out, "data_relayed_userspace_bytes", "", st->to_peer_bytes + st->to_client_bytes);
}

static u16 answer(void *ctx, const struct httpd_request *q, struct wr *body)
{
	const struct control *c = ctx;
	char filter[CONTROL_FILTER_MAX];

	if (httpd_is(q, "GET", "/metrics")) {
		control_metrics(c->cfg.stats(c->cfg.ctx), body);
		return 200;
	}
	if (!httpd_is(q, "POST", "/log_filter"))
		return 404;
	if (httpd_query(q, "directives", filter, sizeof(filter)) || !filter[0])
		return 400;
	return c->cfg.apply(c->cfg.ctx, filter) ? 400 : 200;
}

struct control *control_open(struct loop *l, const struct control_config *cfg, int *rc)
{
	struct control *c = calloc(1, sizeof(*c));

	*rc = ERR_NOMEM;
	if (!c)
		return NULL;
	c->cfg = *cfg;
	c->httpd = httpd_open(l, &cfg->listen, answer, c, rc);
	if (c->httpd)
		return c;
	free(c);
	return NULL;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	httpd_close(c->httpd);
	free(c);
}
