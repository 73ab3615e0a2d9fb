#include "applets/portal/web/connections.h"

struct reading {
	struct web *w;
	struct connections *out;
};

static const char *link_to(struct web *w, const char *where, const struct uuid *id)
{
	return uuid_is_null(id) ? NULL : web_path(w, "/%s/%s", where, web_id(w, id));
}

static int each(void *ctx, const struct store_connection *c)
{
	struct reading *r = ctx;
	struct web *w = r->w;

	if (r->out->n == CONNECTIONS_SHOWN)
		return 0;
	struct connection_row *row = &r->out->rows[r->out->n++];
	*row = (struct connection_row){
		.at = c->at,
		.expires_at = c->expires_at,
		.resource = web_text(w, "%s", c->resource_name),
		.resource_href = link_to(w, "resources", &c->resource_id),
		.client = web_text(w, "%s", c->client_name),
		.client_href = link_to(w, "clients", &c->client_id),
		.actor = web_text(w, "%s", c->actor_name),
		.actor_href = link_to(w, "actors", &c->actor_id),
		.gateway = web_text(w, "%s", c->gateway_name),
		.gateway_href = link_to(w, "gateways", &c->gateway_id),
		.policy = web_text(w, "%s → %s", c->group_name, c->resource_name),
		.policy_href = link_to(w, "policies", &c->policy_id),
		.remote_ip = web_text(w, "%s", c->client_remote_ip),
	};
	row->has_path = hub_path(w->x->portal->hub, &w->account->e.id, &c->gateway_id, &c->client_id, &row->path);
	return 0;
}

bool connections_of(struct web *w, enum kind of, const struct uuid *id, struct connections *out)
{
	struct reading r = { w, out };
	struct store *s = w->x->portal->store;
	int rc;

	*out = (struct connections){ .rows = exchange_alloc(w->x, CONNECTIONS_SHOWN * sizeof(*out->rows)) };
	rc = !out->rows ? ERR_NOMEM :
	     of == KIND_COUNT ? store_all_connections(s, &w->account->e.id, CONNECTIONS_SHOWN, each, &r) :
				store_connections(s, of, &w->account->e.id, id, CONNECTIONS_SHOWN, each, &r);
	if (rc)
		web_store_failed(w);
	return rc == 0;
}
