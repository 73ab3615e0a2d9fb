#include "core/http/url.h"
#include "core/phoenix/msg_arena.h"

#include <string.h>

/* What every function below needs: where errors go, where memory comes from. */
struct dec {
	struct json_get *g;
	struct msg_arena **mem;
	struct msg_wire wire;
};

static void *alloc(struct dec *d, size_t count, size_t size)
{
	void *p = d->g->err ? NULL : msg_alloc(d->mem, count, size);

	if (!p)
		json_fail(d->g, ERR_NOMEM, "message", "out of memory");
	return p;
}

static const char *copy(struct dec *d, const char *s)
{
	if (!s)
		return NULL;
	size_t n = strlen(s) + 1;
	char *p = alloc(d, n, 1);
	return p ? memcpy(p, s, n) : "";
}

static const char *get_str(struct dec *d, const struct cJSON *obj, const char *key)
{
	return copy(d, json_str(d->g, obj, key));
}

static const char *get_str_null(struct dec *d, const struct cJSON *obj, const char *key)
{
	return copy(d, json_str_null(d->g, obj, key));
}

/* Room for the elements of an array (NULL = none) that may have at most `max`; the caller counts what it keeps. */
static void *list(struct dec *d, const struct cJSON *array, const char *key, size_t max, size_t size)
{
	size_t n = json_count(array);

	if (n > max)
		json_fail(d->g, ERR_LIMIT, key, "has too many elements");
	return n > 0 ? alloc(d, n, size) : NULL;
}

static bool is_fine(const struct dec *d)
{
	return d->g->err == 0;
}

/* --- shared types ---------------------------------------------------------------------------------------------------------------- */

static struct msg_ice get_ice(struct dec *d, const struct cJSON *obj, const char *key)
{
	const struct cJSON *o = json_object(d->g, obj, key);
	struct msg_ice ice = { "", "" };

	if (is_fine(d)) {
		ice.username = get_str(d, o, "username");
		ice.password = get_str(d, o, "password");
	}
	return ice;
}

/* Elements that are no strings are skipped one by one (spec 10 §3.5), and so is what exceeds the limit. */
static struct msg_candidates get_candidates(struct dec *d, const struct cJSON *obj)
{
	const struct cJSON *array = json_array(d->g, obj, "candidates");
	struct msg_candidates out = { NULL, 0 };
	size_t n = MIN(json_count(array), (size_t)MSG_CANDIDATES_MAX);

	if (!is_fine(d) || n == 0)
		return out;
	const char **text = alloc(d, n, sizeof(*text));
	json_each(v, array) {
		if (!is_fine(d) || out.n == n)
			break;
		if (json_value_str(v))
			text[out.n++] = copy(d, json_value_str(v));
	}
	out.text = text;
	return out;
}

static struct msg_ids get_ids(struct dec *d, const struct cJSON *obj, const char *key)
{
	const struct cJSON *array = json_array(d->g, obj, key);
	struct uuid *id = list(d, array, key, MSG_IDS_MAX, sizeof(*id));
	size_t n = 0;

	json_each(v, array) {
		if (!is_fine(d))
			break;
		if (json_value_uuid(v, &id[n++]))
			json_fail(d->g, ERR_MALFORMED, key, "must hold UUIDs");
	}
	return (struct msg_ids){ id, n };
}

/* Any strings, at most max of them. */
static const char *const *get_strings(struct dec *d, const struct cJSON *array, const char *key, size_t max, size_t *n)
{
	const char **text = list(d, array, key, max, sizeof(*text));

	*n = 0;
	json_each(v, array) {
		if (!is_fine(d))
			break;
		const char *s = json_value_str(v);
		if (!s)
			json_fail(d->g, ERR_MALFORMED, key, "must hold strings");
		else
			text[(*n)++] = copy(d, s);
	}
	return text;
}

static struct msg_filter get_filter(struct dec *d, const struct cJSON *obj)
{
	struct msg_filter f = { MSG_ICMP, 0, 0 };
	const char *protocol = json_str(d->g, obj, "protocol");

	if (!is_fine(d) || strcmp(protocol, "icmp") == 0)
		return f;
	if (strcmp(protocol, "tcp") == 0)
		f.protocol = MSG_TCP;
	else if (strcmp(protocol, "udp") == 0)
		f.protocol = MSG_UDP;
	else
		json_fail(d->g, ERR_MALFORMED, "protocol", "must be tcp, udp or icmp");
	f.port_start = (u16)json_uint_or(d->g, obj, "port_range_start", 65535, 0);
	f.port_end = (u16)json_uint_or(d->g, obj, "port_range_end", 65535, 65535);
	return f;
}

static void get_filters(struct dec *d, const struct cJSON *array, struct msg_resource *r)
{
	struct msg_filter *f = list(d, array, "filters", MSG_FILTERS_MAX, sizeof(*f));

	r->filters = f;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		f[r->n_filters++] = get_filter(d, v);
	}
}

static void get_sites(struct dec *d, const struct cJSON *obj, struct msg_resource *r)
{
	const struct cJSON *array = json_member_alias(d->g, obj, "gateway_groups", "sites");

	if (!json_is_array(array)) {
		json_fail(d->g, ERR_MALFORMED, "sites", "must be an array");
		return;
	}
	struct msg_site *site = list(d, array, "sites", MSG_SITES_MAX, sizeof(*site));
	r->sites = site;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		site[r->n_sites].id = json_uuid(d->g, v, "id");
		site[r->n_sites++].name = get_str(d, v, "name");
	}
}

static int resource_type(const char *name, enum msg_resource_type *out)
{
	static const char *const names[] = {
		[MSG_RESOURCE_DNS] = "dns",
		[MSG_RESOURCE_CIDR] = "cidr",
		[MSG_RESOURCE_INTERNET] = "internet",
		[MSG_RESOURCE_STATIC_DEVICE_POOL] = "static_device_pool",
		[MSG_RESOURCE_DYNAMIC_DEVICE_POOL] = "dynamic_device_pool",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum msg_resource_type)i;
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

static enum msg_ip_stack get_ip_stack(struct dec *d, const struct cJSON *obj)
{
	const char *s = json_str_null(d->g, obj, "ip_stack");

	if (!s || strcmp(s, "dual") == 0)
		return MSG_STACK_DUAL;
	if (strcmp(s, "ipv4_only") == 0)
		return MSG_STACK_IPV4_ONLY;
	if (strcmp(s, "ipv6_only") == 0)
		return MSG_STACK_IPV6_ONLY;
	json_fail(d->g, ERR_MALFORMED, "ip_stack", "must be dual, ipv4_only or ipv6_only");
	return MSG_STACK_DUAL;
}

static void get_address(struct dec *d, const struct cJSON *obj, struct msg_resource *r)
{
	r->address = get_str(d, obj, "address");
	if (r->type == MSG_RESOURCE_CIDR)
		r->net = json_cidr(d->g, obj, "address");
}

static struct ip get_host(struct dec *d, const struct cJSON *obj, const char *key, u8 len)
{
	struct cidr net = json_cidr(d->g, obj, key);

	if (is_fine(d) && (net.len != len || net.ip.family != (len == 32 ? 4 : 6)))
		json_fail(d->g, ERR_MALFORMED, key, "must be one address");
	return net.ip;
}

static void get_devices(struct dec *d, const struct cJSON *array, struct msg_resource *r)
{
	struct msg_device *device = list(d, array, "devices", MSG_IDS_MAX, sizeof(*device));

	r->devices = device;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		device[r->n_devices].client_id = json_uuid(d->g, v, "client_id");
		device[r->n_devices].ipv4 = get_host(d, v, "ipv4", 32);
		device[r->n_devices++].ipv6 = get_host(d, v, "ipv6", 128);
	}
}

static void get_client_resource(struct dec *d, const struct cJSON *obj, struct msg_resource *r)
{
	r->id = json_uuid(d->g, obj, "id");
	switch (r->type) {
	case MSG_RESOURCE_DNS:
	case MSG_RESOURCE_CIDR:
		r->name = get_str(d, obj, "name");
		get_address(d, obj, r);
		r->address_description = get_str_null(d, obj, "address_description");
		get_sites(d, obj, r);
		get_filters(d, json_array_opt(d->g, obj, "filters"), r);
		if (r->type == MSG_RESOURCE_DNS)
			r->ip_stack = get_ip_stack(d, obj);
		break;
	case MSG_RESOURCE_INTERNET:
		r->name = json_member(d->g, obj, "name") ? get_str(d, obj, "name") : "Internet Resource";
		get_sites(d, obj, r);
		break;
	case MSG_RESOURCE_STATIC_DEVICE_POOL:
		r->name = get_str(d, obj, "name");
		if (json_member(d->g, obj, "devices")) {
			get_devices(d, json_array(d->g, obj, "devices"), r);
			get_filters(d, json_array_opt(d->g, obj, "filters"), r);
		}
		break;
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL:
		r->name = get_str(d, obj, "name");
		get_address(d, obj, r);
		break;
	}
}

static void get_gateway_resource(struct dec *d, const struct cJSON *obj, struct msg_resource *r)
{
	r->id = json_uuid(d->g, obj, "id");
	switch (r->type) {
	case MSG_RESOURCE_DNS:
	case MSG_RESOURCE_CIDR:
		r->name = get_str(d, obj, "name");
		get_address(d, obj, r);
		get_filters(d, json_array(d->g, obj, "filters"), r);
		break;
	case MSG_RESOURCE_INTERNET:
		break;
	case MSG_RESOURCE_STATIC_DEVICE_POOL:
	case MSG_RESOURCE_DYNAMIC_DEVICE_POOL:
		json_fail(d->g, ERR_MALFORMED, "type", "must be dns, cidr or internet");
		break;
	}
}

/* The sticky error is ERR_NOT_FOUND when the type is unknown to clients. */
static struct msg_resource get_resource(struct dec *d, const struct cJSON *obj)
{
	struct msg_resource r = { .name = "", .address = "" };
	const char *type = json_str(d->g, obj, "type");

	if (!is_fine(d))
		return r;
	if (resource_type(type, &r.type))
		json_fail(d->g, d->wire.role == MSG_ROLE_CLIENT ? ERR_NOT_FOUND : ERR_MALFORMED, "type", "names no resource type we know");
	else if (d->wire.role == MSG_ROLE_CLIENT)
		get_client_resource(d, obj, &r);
	else
		get_gateway_resource(d, obj, &r);
	return r;
}

static void get_relay(struct dec *d, const struct cJSON *obj, struct msg_relay *relay, size_t *n)
{
	const char *type = json_str(d->g, obj, "type");
	struct uuid id = json_uuid(d->g, obj, "id");
	struct endpoint addr = json_endpoint(d->g, obj, "addr");
	size_t i = 0;

	if (!is_fine(d) || strcmp(type, "stun") == 0)
		return;
	if (strcmp(type, "turn") != 0) {
		json_fail(d->g, ERR_MALFORMED, "type", "names no relay type we know");
		return;
	}
	while (i < *n && !uuid_eq(&relay[i].id, &id))
		i++;
	if (i == *n)
		(*n)++;
	relay[i].id = id;
	*(addr.ip.family == 4 ? &relay[i].v4 : &relay[i].v6) = addr;
	relay[i].username = get_str(d, obj, "username");
	relay[i].password = get_str(d, obj, "password");
	relay[i].expires_at = json_uint(d->g, obj, "expires_at", JSON_UINT_MAX);
}

static struct msg_relays get_relays(struct dec *d, const struct cJSON *array, const char *key)
{
	struct msg_relay *relay = list(d, array, key, MSG_RELAYS_MAX, sizeof(*relay));
	size_t n = 0;

	json_each(v, array) {
		if (!is_fine(d))
			break;
		get_relay(d, v, relay, &n);
	}
	return (struct msg_relays){ relay, n };
}

/* --- interface ---------------------------------------------------------------------------------------------------------------------- */

static void get_do53(struct dec *d, const struct cJSON *array, struct msg_interface *in)
{
	struct ip *ip = list(d, array, "upstream_do53", MSG_UPSTREAMS_MAX, sizeof(*ip));

	in->upstream_do53 = ip;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		ip[in->n_upstream_do53++] = json_ip(d->g, v, "ip", 0);
	}
}

/* The old list counts only when the new one is empty, but must be well formed in any case. */
static void get_legacy_dns(struct dec *d, const struct cJSON *array, struct msg_interface *in)
{
	struct ip *ip = list(d, array, "upstream_dns", MSG_UPSTREAMS_MAX, sizeof(*ip));
	size_t n = 0;

	json_each(v, array) {
		if (!is_fine(d))
			return;
		if (strcmp(json_str(d->g, v, "protocol"), "ip_port") != 0)
			json_fail(d->g, ERR_MALFORMED, "protocol", "must be ip_port");
		ip[n++] = json_endpoint(d->g, v, "address").ip;
	}
	if (in->n_upstream_do53 == 0) {
		in->upstream_do53 = ip;
		in->n_upstream_do53 = n;
	}
}

static bool is_doh_url(const char *text)
{
	struct url u;

	return url_parse(SPAN(text, strlen(text)), &u) == 0 && url_scheme_is(&u, "https") && u.query.n == 0;
}

static void get_doh(struct dec *d, const struct cJSON *array, struct msg_interface *in)
{
	const char **url = list(d, array, "upstream_doh", MSG_UPSTREAMS_MAX, sizeof(*url));

	in->upstream_doh = url;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		const char *text = get_str(d, v, "url");
		if (is_fine(d) && !is_doh_url(text))
			json_fail(d->g, ERR_MALFORMED, "url", "must be https with a host and without a query");
		url[in->n_upstream_doh++] = text;
	}
}

static struct msg_interface get_interface(struct dec *d, const struct cJSON *obj)
{
	struct msg_interface in = { .search_domain = NULL };
	const struct cJSON *o = json_object(d->g, obj, "interface");

	if (!is_fine(d))
		return in;
	in.ipv4 = json_ip(d->g, o, "ipv4", 4);
	in.ipv6 = json_ip(d->g, o, "ipv6", 6);
	if (d->wire.role == MSG_ROLE_GATEWAY)
		return in;
	get_do53(d, json_array_opt(d->g, o, "upstream_do53"), &in);
	get_doh(d, json_array_opt(d->g, o, "upstream_doh"), &in);
	get_legacy_dns(d, json_array_opt(d->g, o, "upstream_dns"), &in);
	in.search_domain = get_str_null(d, o, "search_domain");
	if (in.search_domain && (in.search_domain[0] == 0 || strlen(in.search_domain) > 253))
		json_fail(d->g, ERR_MALFORMED, "search_domain", "must be a domain name");
	return in;
}

static struct msg_flow_logs get_flow_logs(struct dec *d, const struct cJSON *obj)
{
	struct msg_flow_logs f = { NULL, 0, 0 };

	if (d->wire.version == MSG_V1)
		return f;
	const struct cJSON *o = json_object(d->g, obj, "flow_logs");
	if (is_fine(d)) {
		f.api_url = get_str(d, o, "api_url");
		f.upload_interval_secs = json_uint(d->g, o, "upload_interval_secs", JSON_UINT_MAX);
		f.upload_batch_size = json_uint(d->g, o, "upload_batch_size", JSON_UINT_MAX);
	}
	return f;
}

static const char *get_ingest_token(struct dec *d, const struct cJSON *obj)
{
	return d->wire.version == MSG_V1 ? NULL : get_str(d, obj, "flow_logs_ingest_token");
}

static enum msg_reason get_reason(struct dec *d, const struct cJSON *obj, const char **text)
{
	const char *s = json_str(d->g, obj, "reason");

	if (text)
		*text = copy(d, s);
	for (enum msg_reason r = MSG_REASON_NOT_FOUND; r <= MSG_REASON_INVALID_ADDRESS; r++)
		if (strcmp(s, msg_reason_name(r)) == 0)
			return r;
	return MSG_REASON_UNKNOWN;
}

/* --- messages ------------------------------------------------------------------------------------------------------------------------- */

/* An entry that is no object or has no string `type` costs the message; any other fault costs only the entry. */
static void get_resource_leniently(struct dec *d, const struct cJSON *v, struct msg_init_client *m, struct msg_resource *out)
{
	struct json_get own = JSON_GET;
	struct dec inner = { &own, d->mem, d->wire };

	(void)json_str(d->g, v, "type");
	if (!is_fine(d))
		return;
	*out = get_resource(&inner, v);
	if (own.err == 0)
		m->n_resources++;
	else if (own.err == ERR_NOMEM)
		json_fail(d->g, ERR_NOMEM, "message", "out of memory");
	else
		m->n_skipped++;
}

static struct msg_access get_access(struct dec *d, const struct cJSON *obj, bool has_expiry)
{
	struct msg_access a = { json_uuid(d->g, obj, "client_id"), json_uuid(d->g, obj, "resource_id"), 0 };

	if (has_expiry)
		a.expires_at = json_uint(d->g, obj, "expires_at", JSON_UINT_MAX);
	return a;
}

static const struct msg_access *get_accesses(struct dec *d, const struct cJSON *p, size_t *n)
{
	const struct cJSON *array = json_array_opt(d->g, p, "authorizations");
	struct msg_access *a = list(d, array, "authorizations", MSG_AUTHORIZATIONS_MAX, sizeof(*a));

	json_each(v, array) {
		if (!is_fine(d))
			break;
		a[(*n)++] = get_access(d, v, true);
	}
	return a;
}

static void get_init_client(struct dec *d, const struct cJSON *p, struct msg_init_client *m)
{
	m->interface = get_interface(d, p);
	const struct cJSON *array = json_array_opt(d->g, p, "resources");
	struct msg_resource *r = list(d, array, "resources", MSG_RESOURCES_MAX, sizeof(*r));
	m->resources = r;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		get_resource_leniently(d, v, m, &r[m->n_resources]);
	}
	m->relays = get_relays(d, json_array_opt(d->g, p, "relays"), "relays");
	if (d->wire.version == MSG_V2)
		m->authorizations = get_accesses(d, p, &m->n_authorizations);
	m->flow_logs = get_flow_logs(d, p);
}

/* Nobody but us sends it, and it must not cost the init: what is not as it should be was not said. */
static u32 get_report_interval(const struct cJSON *p)
{
	struct json_get own = JSON_GET;
	const struct cJSON *o = json_object_opt(&own, p, "emberbox");
	u64 secs = o ? json_uint_or(&own, o, "report_interval_secs", MSG_REPORT_INTERVAL_MAX, 0) : 0;

	return own.err || secs < MSG_REPORT_INTERVAL_MIN ? 0 : (u32)secs;
}

static void get_init_gateway(struct dec *d, const struct cJSON *p, struct msg_init_gateway *m)
{
	m->interface = get_interface(d, p);
	const struct cJSON *config = json_object(d->g, p, "config");
	if (!is_fine(d))
		return;
	m->ipv4_masquerade_enabled = json_bool(d->g, config, "ipv4_masquerade_enabled");
	m->ipv6_masquerade_enabled = json_bool(d->g, config, "ipv6_masquerade_enabled");
	m->relays = get_relays(d, json_array_opt(d->g, p, "relays"), "relays");
	m->account_slug = get_str_null(d, p, "account_slug");
	m->authorizations = get_accesses(d, p, &m->n_authorizations);
	m->flow_logs = get_flow_logs(d, p);
	m->report_interval_secs = get_report_interval(p);
}

static void get_flow_created(struct dec *d, const struct cJSON *p, struct msg_flow_created *m)
{
	m->resource_id = json_uuid(d->g, p, "resource_id");
	m->gateway_id = json_uuid(d->g, p, "gateway_id");
	json_base64(d->g, p, "gateway_public_key", m->gateway_public_key, MSG_KEY);
	m->gateway_ipv4 = json_ip(d->g, p, "gateway_ipv4", 4);
	m->gateway_ipv6 = json_ip(d->g, p, "gateway_ipv6", 6);
	if (json_value_uuid(json_member_alias(d->g, p, "gateway_group_id", "site_id"), &m->site_id))
		json_fail(d->g, ERR_MALFORMED, "site_id", "must be a UUID");
	json_base64(d->g, p, "preshared_key", m->preshared_key, MSG_KEY);
	m->client_ice = get_ice(d, p, "client_ice_credentials");
	m->gateway_ice = get_ice(d, p, "gateway_ice_credentials");
	m->flow_logs_ingest_token = get_ingest_token(d, p);
}

static void get_flow_creation_failed(struct dec *d, const struct cJSON *p, struct msg_flow_creation_failed *m)
{
	m->resource_id = json_uuid(d->g, p, "resource_id");
	m->reason = get_reason(d, p, &m->reason_text);
	m->violated_properties = get_strings(d, json_array_opt(d->g, p, "violated_properties"), "violated_properties",
					     MSG_PROPERTIES_MAX, &m->n_violated_properties);
}

static void get_ice_message(struct dec *d, const struct cJSON *p, const char *id_key, struct msg_ice_candidates *m)
{
	m->id = json_uuid(d->g, p, id_key);
	m->candidates = get_candidates(d, p);
}

/* Only these two, of a pool. */
static void get_id_and_filters(struct dec *d, const struct cJSON *obj, struct msg_resource *r)
{
	r->type = MSG_RESOURCE_STATIC_DEVICE_POOL;
	r->name = r->address = "";
	r->id = json_uuid(d->g, obj, "id");
	get_filters(d, json_array_opt(d->g, obj, "filters"), r);
}

static struct ip get_ip_opt(struct dec *d, const struct cJSON *p, const char *key, int family)
{
	const struct cJSON *v = json_member(d->g, p, key);

	return !v || json_is_null(v) ? (struct ip){ .family = 0 } : json_ip(d->g, p, key, family);
}

static void get_device_access(struct dec *d, const struct cJSON *p, struct msg_device_access_authorized *m)
{
	m->client_id = json_uuid(d->g, p, "client_id");
	json_base64(d->g, p, "client_public_key", m->client_public_key, MSG_KEY);
	m->client_ipv4 = json_ip(d->g, p, "client_ipv4", 4);
	m->client_ipv6 = json_ip(d->g, p, "client_ipv6", 6);
	json_base64(d->g, p, "preshared_key", m->preshared_key, MSG_KEY);
	m->local_ice = get_ice(d, p, "local_ice_credentials");
	m->remote_ice = get_ice(d, p, "remote_ice_credentials");
	const char *role = json_str(d->g, p, "ice_role");
	m->is_controlling = strcmp(role, "controlling") == 0;
	if (!m->is_controlling && strcmp(role, "controlled") != 0)
		json_fail(d->g, ERR_MALFORMED, "ice_role", "must be controlling or controlled");
	m->client_name = get_str_null(d, p, "client_name");
	m->client_fqdns = get_strings(d, json_array_opt(d->g, p, "client_fqdns"), "client_fqdns", MSG_IDS_MAX, &m->n_client_fqdns);
	const struct cJSON *resource = json_object_opt(d->g, p, "resource");
	if (resource) {
		m->has_resource = true;
		get_id_and_filters(d, resource, &m->resource);
	}
	m->expires_at = json_uint_or(d->g, p, d->wire.version == MSG_V1 ? "authorization_expires_at" : "expires_at", JSON_UINT_MAX, 0);
	m->flow_logs_ingest_token = get_ingest_token(d, p);
}

static u64 get_expiry(struct dec *d, const struct cJSON *p)
{
	const struct cJSON *v = json_member(d->g, p, "expires_at");
	u64 at = MSG_NEVER_EXPIRES;

	if (!v)
		json_fail(d->g, ERR_MALFORMED, "expires_at", "is missing");
	else if (!json_is_null(v) && json_value_uint(v, JSON_UINT_MAX, &at))
		json_fail(d->g, ERR_MALFORMED, "expires_at", "must be seconds or null");
	return at;
}

static void get_authorize_flow(struct dec *d, const struct cJSON *p, struct msg_authorize_flow *m)
{
	m->ref = get_str(d, p, "ref");
	m->resource = get_resource(d, json_object(d->g, p, "resource"));
	m->expires_at = get_expiry(d, p);
	const struct cJSON *c = json_object(d->g, p, "client");
	if (!is_fine(d))
		return;
	m->client.id = json_uuid(d->g, c, "id");
	json_base64(d->g, c, "public_key", m->client.public_key, MSG_KEY);
	json_base64(d->g, c, "preshared_key", m->client.preshared_key, MSG_KEY);
	m->client.ipv4 = json_ip(d->g, c, "ipv4", 4);
	m->client.ipv6 = json_ip(d->g, c, "ipv6", 6);
	m->client.version = get_str_null(d, c, "version");
	m->client.device_os_name = get_str_null(d, c, "device_os_name");
	m->client.device_os_version = get_str_null(d, c, "device_os_version");
	m->client.device_serial = get_str_null(d, c, "device_serial");
	m->client.device_uuid = get_str_null(d, c, "device_uuid");
	m->client.identifier_for_vendor = get_str_null(d, c, "identifier_for_vendor");
	m->client.firebase_installation_id = get_str_null(d, c, "firebase_installation_id");
	const struct cJSON *s = json_object_opt(d->g, p, "subject");
	if (s) {
		m->subject.auth_provider_id = get_str_null(d, s, "auth_provider_id");
		m->subject.actor_name = get_str_null(d, s, "actor_name");
		m->subject.actor_id = get_str_null(d, s, "actor_id");
		m->subject.actor_email = get_str_null(d, s, "actor_email");
	}
	m->client_ice = get_ice(d, p, "client_ice_credentials");
	m->gateway_ice = get_ice(d, p, "gateway_ice_credentials");
	m->flow_logs_ingest_token = get_ingest_token(d, p);
}

static void get_create_flow(struct dec *d, const struct cJSON *p, struct msg_create_flow *m)
{
	m->resource_id = json_uuid(d->g, p, "resource_id");
	/* v2 peers may leave it out */
	if (d->wire.version == MSG_V1 || json_member(d->g, p, "connected_gateway_ids"))
		m->connected_gateways = get_ids(d, p, "connected_gateway_ids");
	m->ipv4 = get_ip_opt(d, p, "ipv4", 4);
	m->ipv6 = get_ip_opt(d, p, "ipv6", 6);
}

static enum msg_path get_path(struct dec *d, const struct cJSON *obj)
{
	const char *s = json_str(d->g, obj, "path");

	for (enum msg_path p = MSG_PATH_DIRECT; p <= MSG_PATH_GONE; p++)
		if (strcmp(s, msg_path_name(p)) == 0)
			return p;
	json_fail(d->g, ERR_MALFORMED, "path", "must be direct, relayed or gone");
	return MSG_PATH_GONE;
}

static struct msg_connection get_connection(struct dec *d, const struct cJSON *obj)
{
	struct msg_connection c = { .client_id = json_uuid(d->g, obj, "client_id"), .path = get_path(d, obj) };
	const struct cJSON *rtt = json_member(d->g, obj, "rtt_ms");

	c.has_rtt = rtt && !json_is_null(rtt);
	if (c.has_rtt)
		c.rtt_ms = (u32)json_uint(d->g, obj, "rtt_ms", MSG_RTT_MS_MAX);
	c.rx_bytes = json_uint(d->g, obj, "rx_bytes", JSON_UINT_MAX);
	c.tx_bytes = json_uint(d->g, obj, "tx_bytes", JSON_UINT_MAX);
	return c;
}

static void get_connections(struct dec *d, const struct cJSON *p, struct msg_connections_report *m)
{
	const struct cJSON *array = json_array(d->g, p, "connections");
	struct msg_connection *c = list(d, array, "connections", MSG_REPORTED_MAX, sizeof(*c));

	m->connections = c;
	json_each(v, array) {
		if (!is_fine(d))
			return;
		c[m->n++] = get_connection(d, v);
	}
}

static void get_message(struct dec *d, const struct cJSON *p, struct portal_message *m)
{
	switch (m->type) {
	case MSG_INIT_CLIENT:
		get_init_client(d, p, &m->init_client);
		break;
	case MSG_INIT_GATEWAY:
		get_init_gateway(d, p, &m->init_gateway);
		break;
	case MSG_CONFIG_CHANGED:
		m->config_changed = get_interface(d, p);
		break;
	case MSG_RESOURCE_CREATED_OR_UPDATED:
	case MSG_RESOURCE_UPDATED:
		m->resource = get_resource(d, p);
		break;
	case MSG_RESOURCE_DELETED:
		if (json_value_uuid(p, &m->id))
			json_fail(d->g, ERR_MALFORMED, "payload", "must be a UUID");
		break;
	case MSG_RELAYS_PRESENCE:
		m->relays_presence.disconnected = get_ids(d, p, "disconnected_ids");
		m->relays_presence.connected = get_relays(d, json_array(d->g, p, "connected"), "connected");
		break;
	case MSG_FLOW_CREATED:
		get_flow_created(d, p, &m->flow_created);
		break;
	case MSG_FLOW_CREATION_FAILED:
		get_flow_creation_failed(d, p, &m->flow_creation_failed);
		break;
	case MSG_GATEWAY_ICE_CANDIDATES:
	case MSG_GATEWAY_ICE_INVALIDATED:
	case MSG_NEW_GATEWAY_ICE_CANDIDATES:
	case MSG_INVALIDATE_GATEWAY_ICE_CANDIDATES:
		get_ice_message(d, p, "gateway_id", &m->candidates);
		break;
	case MSG_CLIENT_ICE_CANDIDATES:
	case MSG_CLIENT_ICE_INVALIDATED:
	case MSG_NEW_CLIENT_ICE_CANDIDATES:
	case MSG_INVALIDATE_CLIENT_ICE_CANDIDATES:
		get_ice_message(d, p, "client_id", &m->candidates);
		break;
	case MSG_CLIENT_ICE_CANDIDATE_ERROR:
		m->candidate_error.client_id = json_uuid(d->g, p, "client_id");
		m->candidate_error.reason = get_reason(d, p, NULL);
		break;
	case MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED:
		get_device_access(d, p, &m->device_access_authorized);
		break;
	case MSG_CLIENT_DEVICE_ACCESS_DENIED:
		m->device_access_denied.ipv4 = get_ip_opt(d, p, "ipv4", 4);
		m->device_access_denied.ipv6 = get_ip_opt(d, p, "ipv6", 6);
		m->device_access_denied.reason = get_reason(d, p, NULL);
		break;
	case MSG_AUTHORIZE_FLOW:
		get_authorize_flow(d, p, &m->authorize_flow);
		break;
	case MSG_REJECT_ACCESS:
		m->access = get_access(d, p, false);
		break;
	case MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED:
		m->access = get_access(d, p, true);
		break;
	case MSG_RESOURCE_FILTERS_UPDATED:
		get_id_and_filters(d, p, &m->resource);
		break;
	case MSG_CREATE_FLOW:
		get_create_flow(d, p, &m->create_flow);
		break;
	case MSG_REQUEST_DEVICE_ACCESS:
		m->ipv4 = json_ip(d->g, p, "ipv4", 4);
		break;
	case MSG_BROADCAST_ICE_CANDIDATES:
	case MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES:
		m->broadcast.ids = get_ids(d, p, d->wire.role == MSG_ROLE_GATEWAY ? "client_ids" : "gateway_ids");
		m->broadcast.candidates = get_candidates(d, p);
		break;
	case MSG_FLOW_AUTHORIZED:
		m->flow_authorized.ref = get_str(d, p, "ref");
		break;
	case MSG_SET_SNOWNET_CAPABILITIES:
		/* what it does not name it cannot do */
		m->capabilities.iceless = json_member(d->g, p, "iceless") && json_bool(d->g, p, "iceless");
		break;
	case MSG_CONNECTIONS_REPORT:
		get_connections(d, p, &m->connections_report);
		break;
	case MSG_INIT_RELAY: /* carry nothing, whatever the payload is */
	case MSG_NO_RELAYS:
	case MSG_TYPE_COUNT:
		break;
	}
}

int msg_decode(struct msg_wire w, const char *event, const struct cJSON *payload, struct portal_message *out, struct json_get *why)
{
	struct json_get g = JSON_GET;
	struct dec d = { &g, &out->mem, w };

	memset(out, 0, sizeof(*out));
	if (msg_type_of(w, event, &out->type))
		json_fail(&g, ERR_NOT_FOUND, "event", "is unknown");
	else
		get_message(&d, payload, out);
	if (g.err)
		msg_free(out);
	if (why)
		*why = g;
	return g.err;
}
