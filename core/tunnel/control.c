#include "core/tunnel/control.h"

#include "core/json/json.h"

#define PAYLOAD_LEN_AT 4u
#define EVENT_AT 40u

static const struct json_limits limits = { .bytes = CONTROL_JSON_MAX, .values = 256, .depth = 8 };

/* --- writing ---------------------------------------------------------------------------------------------------------------------------- */

static struct wr begin(u8 event, u8 *out)
{
	struct wr w = wr_init(out, TUNNEL_MTU);
	wr_zero(&w, CONTROL_HEADER);
	out[0] = 0x60;
	out[6] = 0xff;
	out[EVENT_AT] = event;
	return w;
}

static u32 finish(struct wr *w)
{
	if (!wr_ok(w))
		return 0;
	put_be16(w->start + PAYLOAD_LEN_AT, (u16)(wr_len(w) - EVENT_AT));
	return (u32)wr_len(w);
}

/* The text form of a name is printable ASCII. */
static void put_domain(struct wr *w, const struct dns_name *name)
{
	char text[DNS_NAME_STRLEN];

	for (const char *c = dns_name_text(name, text); *c; c++) {
		if (*c == '"' || *c == '\\')
			wr_u8(w, '\\');
		wr_u8(w, (u8)*c);
	}
}

static void put_subject(struct wr *w, const struct uuid *resource, const struct dns_name *domain)
{
	char id[UUID_STRLEN];

	wr_str(w, "{\"resource\":\"");
	wr_str(w, uuid_format(resource, id));
	wr_str(w, "\",\"domain\":\"");
	put_domain(w, domain);
}

u32 control_write_assigned(const struct control_assigned *m, u8 out[static TUNNEL_MTU])
{
	struct wr w = begin(CONTROL_ASSIGNED_IPS, out);
	char text[IP_STRLEN];

	put_subject(&w, &m->resource, &m->domain);
	wr_str(&w, "\",\"proxy_ips\":[");
	for (u32 i = 0; i < m->n_proxies; i++) {
		wr_str(&w, i ? ",\"" : "\"");
		wr_str(&w, ip_format(&m->proxies[i], text));
		wr_str(&w, "\"");
	}
	wr_str(&w, "]}");
	return finish(&w);
}

u32 control_write_status(const struct control_status *m, u8 out[static TUNNEL_MTU])
{
	struct wr w = begin(CONTROL_DOMAIN_STATUS, out);

	put_subject(&w, &m->resource, &m->domain);
	wr_str(&w, m->is_active ? "\",\"status\":\"Active\"}" : "\",\"status\":\"Inactive\"}");
	return finish(&w);
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------------- */

static int body(const u8 *data, const struct packet *p, struct cJSON **root)
{
	int rc = json_parse(SPAN(data + CONTROL_HEADER, p->len - CONTROL_HEADER), &limits, root);
	return rc && rc != ERR_NOMEM ? ERR_MALFORMED : rc;
}

static int get_domain(struct json_get *g, const struct cJSON *root, struct dns_name *out)
{
	const char *text = json_str(g, root, "domain");
	return g->err || dns_name_from_text(text, out) ? ERR_MALFORMED : 0;
}

static int get_proxies(struct json_get *g, const struct cJSON *root, struct control_assigned *out)
{
	out->n_proxies = 0;
	json_each(v, json_array(g, root, "proxy_ips")) {
		const char *text = json_value_str(v);
		if (out->n_proxies == CONTROL_PROXIES_MAX)
			return ERR_LIMIT;
		if (!text || ip_parse(SPAN(text, strlen(text)), &out->proxies[out->n_proxies++]))
			return ERR_MALFORMED;
	}
	return g->err ? ERR_MALFORMED : 0;
}

int control_read_assigned(const u8 *data, const struct packet *p, struct control_assigned *out)
{
	struct cJSON *root = NULL;
	struct json_get g = JSON_GET;
	int rc = body(data, p, &root);

	if (!rc) {
		out->resource = json_uuid(&g, root, "resource");
		rc = get_domain(&g, root, &out->domain);
	}
	if (!rc)
		rc = get_proxies(&g, root, out);
	json_free(root);
	return rc;
}

int control_read_status(const u8 *data, const struct packet *p, struct control_status *out)
{
	struct cJSON *root = NULL;
	struct json_get g = JSON_GET;
	int rc = body(data, p, &root);

	if (!rc) {
		out->resource = json_uuid(&g, root, "resource");
		out->is_active = strcmp(json_str(&g, root, "status"), "Active") == 0;
		rc = get_domain(&g, root, &out->domain);
	}
	json_free(root);
	return rc;
}
