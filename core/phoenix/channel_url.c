#include "core/phoenix/channel_url.h"

#include "core/base/encode.h"

#include <string.h>

const char *msg_role_name(enum msg_role role)
{
	switch (role) {
	case MSG_ROLE_CLIENT: return "client";
	case MSG_ROLE_GATEWAY: return "gateway";
	case MSG_ROLE_RELAY: return "relay";
	}
	return "";
}

static int invalid(const char **why, const char *text)
{
	*why = text;
	return ERR_INVAL;
}

static int set_endpoint(struct channel_target *t, const struct url *u, const char **why)
{
	if (url_scheme_is(u, "https") || url_scheme_is(u, "wss"))
		t->is_tls = true;
	else if (!url_scheme_is(u, "http") && !url_scheme_is(u, "ws"))
		return invalid(why, "the portal's URL must begin with wss://, https://, ws:// or http://");
	memcpy(t->host, u->host.p, u->host.n);
	t->host[u->host.n] = 0;
	t->host_is_ipv6 = u->literal.family == 6;
	/* Firezone's own peers dial 443 even for ws; nobody can mean that (spec 10 §1.1). */
	t->port = u->port ? u->port : t->is_tls ? 443 : 80;
	return 0;
}

int channel_target_init(struct channel_target *t, const struct channel_config *cfg, const char **why)
{
	struct wr path = wr_init(t->path, sizeof(t->path)), query = wr_init(t->query, sizeof(t->query));
	struct url u;
	bool is_first = true;

	memset(t, 0, sizeof(*t));
	if (!cfg->api_url || url_parse(SPAN(cfg->api_url, strlen(cfg->api_url)), &u))
		return invalid(why, "the portal's URL is malformed; it looks like wss://portal.example.org");
	int rc = set_endpoint(t, &u, why);
	if (rc)
		return rc;
	struct span base = u.path;
	if (base.n > 0 && base.p[base.n - 1] == '/') /* one trailing empty segment */
		base.n--;
	wr_bytes(&path, base.p, base.n);
	wr_u8(&path, '/');
	wr_str(&path, msg_role_name(cfg->role));
	wr_str(&path, "/websocket");
	wr_u8(&path, 0);
	for (size_t i = 0; i < cfg->n_params; i++) {
		const char *value = cfg->params[i].value;
		if (value)
			form_append(&query, &is_first, cfg->params[i].name, SPAN(value, strlen(value)));
	}
	wr_u8(&query, 0);
	if (!wr_ok(&path) || !wr_ok(&query))
		return invalid(why, "the portal's URL or a name is too long");
	return 0;
}

void channel_target_put(struct wr *w, const struct channel_target *t, const u8 *public_key)
{
	char key[BASE64_SIZE(MSG_KEY)];
	bool is_first = t->query[0] == 0;

	wr_str(w, t->path);
	if (!is_first || public_key)
		wr_u8(w, '?');
	wr_str(w, t->query);
	if (public_key) {
		int n = base64_encode(key, sizeof(key), SPAN(public_key, MSG_KEY));
		form_append(w, &is_first, "public_key", SPAN(key, n > 0 ? (size_t)n : 0));
	}
}
