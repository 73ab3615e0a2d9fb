/* The upgrade request of a peer and the answers to it (spec 10 §1.2–§1.4, §4.1). What comes after is socket.c. */
#include "core/phoenix/server.h"

#include "core/base/encode.h"
#include "core/http/http.h"
#include "core/http/url.h"
#include "core/http/websocket.h"

#include <stdio.h>
#include <string.h>

/* ---- paths -------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *path;
	enum msg_role role;
	enum msg_version version;
} sockets[] = {
	{ "/client/websocket", MSG_ROLE_CLIENT, MSG_V1 },      { "/client/v2/websocket", MSG_ROLE_CLIENT, MSG_V2 },
	{ "/gateway/websocket", MSG_ROLE_GATEWAY, MSG_V1 },    { "/gateway/v2/websocket", MSG_ROLE_GATEWAY, MSG_V2 },
	{ "/relay/websocket", MSG_ROLE_RELAY, MSG_V1 },
};

/* Index into sockets, -1 for another path; *query = what follows '?'. */
static int find_socket(struct span target, struct span *query)
{
	const u8 *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
	size_t n = mark ? (size_t)(mark - target.p) : target.n;

	*query = mark ? SPAN(mark + 1, target.n - n - 1) : SPAN_NONE;
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
		if (strlen(sockets[i].path) == n && memcmp(sockets[i].path, target.p, n) == 0)
			return (int)i;
	return -1;
}

bool phx_is_socket_path(struct span target)
{
	struct span query;

	return find_socket(target, &query) >= 0;
}

/* ---- reading the request ----------------------------------------------------------------------------------------------------- */

/* An absent parameter is empty. */
static int read_param(struct span query, const char *name, char *out, size_t cap)
{
	int rc = form_get(query, name, out, cap);

	if (rc == ERR_NOT_FOUND) {
		out[0] = '\0';
		return 0;
	}
	return rc;
}

static void trim(char *s)
{
	size_t lead = strspn(s, " \t\r\n"), n = strlen(s);

	while (n > lead && strchr(" \t\r\n", s[n - 1]))
		n--;
	memmove(s, s + lead, n - lead);
	s[n - lead] = '\0';
}

/* 0; ERR_TRUNCATED: a parameter is longer than 255 characters; ERR_MALFORMED: a bad escape. */
static int read_params(struct span query, struct phx_upgrade *u, const char **culprit)
{
	const struct {
		const char *name;
		char *out;
		bool is_trimmed;
	} params[] = {
		{ "external_id", u->external_id, u->role == MSG_ROLE_CLIENT },
		{ "name", u->name, true },
		{ "public_key", u->public_key, false },
		{ "device_serial", u->device_serial, false },
		{ "device_uuid", u->device_uuid, false },
		{ "identifier_for_vendor", u->identifier_for_vendor, false },
		{ "firebase_installation_id", u->firebase_installation_id, false },
		{ "ipv4", u->ipv4, true },
		{ "ipv6", u->ipv6, true },
		{ "port", u->port, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		int rc = read_param(query, params[i].name, params[i].out, PHX_PARAM_STRLEN);
		if (rc) {
			*culprit = params[i].name;
			return rc;
		}
		if (params[i].is_trimmed)
			trim(params[i].out);
	}
	if (!u->port[0])
		memcpy(u->port, "3478", 5);
	return 0;
}

/* Header first, with its case-sensitive prefix, then the query (spec 10 §1.3). */
static void read_token(const struct http_head *h, struct span query, char *out)
{
	struct span header = http_field(h, "x-authorization");
	static const char prefix[] = "Bearer ";

	out[0] = '\0';
	if (header.n > sizeof(prefix) - 1 && memcmp(header.p, prefix, sizeof(prefix) - 1) == 0) {
		header = SPAN(header.p + sizeof(prefix) - 1, header.n - (sizeof(prefix) - 1));
		if (header.n < PHX_TOKEN_STRLEN && !memchr(header.p, 0, header.n)) {
			memcpy(out, header.p, header.n);
			out[header.n] = '\0';
		}
		return;
	}
	if (form_get(query, "token", out, PHX_TOKEN_STRLEN))
		out[0] = '\0';
}

static void read_user_agent(const struct http_head *h, char *out)
{
	struct span ua = http_field(h, "user-agent");
	size_t n = MIN(ua.n, (size_t)PHX_PARAM_STRLEN - 1);

	/* cut between characters, not inside one */
	while (n < ua.n && n > 0 && (ua.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, ua.n ? ua.p : (const u8 *)"", n);
	out[n] = '\0';
}

int phx_upgrade_read(const struct http_head *h, struct phx_upgrade *out, const char **detail)
{
	const char *culprit = "";
	struct span query;
	char vsn[16];
	int i = find_socket(h->target, &query), rc;

	memset(out, 0, sizeof(*out));
	*detail = NULL;
	if (i < 0) {
		*detail = "There is nothing at this path";
		return 404;
	}
	if (h->method.n != 3 || memcmp(h->method.p, "GET", 3) != 0)
		return 400;
	rc = ws_check_request(h, &out->ws_key);
	if (rc)
		return rc == ERR_UNSUPPORTED ? 426 : 400;
	rc = form_get(query, "vsn", vsn, sizeof(vsn));
	if (rc != ERR_NOT_FOUND && (rc || strncmp(vsn, "1.", 2) != 0))
		return 403;
	out->role = sockets[i].role;
	out->version = sockets[i].version;
	read_token(h, query, out->token);
	read_user_agent(h, out->user_agent);
	phx_parse_user_agent(out->user_agent, &out->peer);
	rc = read_params(query, out, &culprit);
	if (!rc)
		return 0;
	snprintf(out->name, sizeof(out->name), rc == ERR_TRUNCATED ? "%s should be at most 255 character(s)" : "%s is invalid", culprit);
	*detail = out->name;
	return 400;
}

/* ---- checking the parameters ---------------------------------------------------------------------------------------------------- */

struct complaints {
	char *text;
	size_t cap, n;
};

static void complain(struct complaints *c, const char *field, const char *what)
{
	int n = snprintf(c->text + c->n, c->cap - c->n, "%s%s %s", c->n ? "; " : "", field, what);

	c->n = MIN(c->n + (size_t)MAX(n, 0), c->cap - 1);
}

static bool is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

static void check_key(struct complaints *c, const char *key)
{
	u8 bytes[33];

	if (is_blank(key))
		complain(c, "public_key", "can't be blank");
	else if (strlen(key) != 44)
		complain(c, "public_key", "should be 44 character(s)");
	else if (base64_decode(bytes, sizeof(bytes), SPAN(key, 44)) != 32)
		complain(c, "public_key", "is invalid");
}

int phx_upgrade_check(const struct phx_upgrade *u, char *detail, size_t cap)
{
	struct complaints c = { detail, cap, 0 };

	detail[0] = '\0';
	if (u->role == MSG_ROLE_RELAY) {
		if (!u->ipv4[0] && !u->ipv6[0])
			complain(&c, "ipv4", "or ipv6 is required");
		return c.n ? 400 : 0;
	}
	if (is_blank(u->external_id))
		complain(&c, "external_id", "can't be blank");
	check_key(&c, u->public_key);
	if (u->role == MSG_ROLE_CLIENT && !u->peer.text[0])
		complain(&c, "user_agent", "is invalid");
	return c.n ? 400 : 0;
}

/* ---- user agent ------------------------------------------------------------------------------------------------------------------ */

static bool parse_number(const char **p, u32 *out)
{
	u32 v = 0;
	int digits = 0;

	for (; **p >= '0' && **p <= '9' && digits < 9; (*p)++, digits++)
		v = v * 10 + (u32)(**p - '0');
	*out = v;
	return digits > 0;
}

static bool parse_semver(struct phx_version *v)
{
	const char *p = v->text;

	if (!parse_number(&p, &v->major) || *p++ != '.' || !parse_number(&p, &v->minor) || *p++ != '.' || !parse_number(&p, &v->patch))
		return false;
	return *p == '\0' || *p == '-' || *p == '+';
}

void phx_parse_user_agent(const char *user_agent, struct phx_version *out)
{
	static const char *const components[] = { "relay/",	   "connlib/",	     "headless-client/", "gui-client/",
						  "apple-client/", "android-client/", "gateway/" };

	memset(out, 0, sizeof(*out));
	for (const char *p = user_agent; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		for (size_t i = 0; i < ARRAY_LEN(components); i++) {
			size_t k = strlen(components[i]);
			if (n <= k || memcmp(p, components[i], k) != 0)
				continue;
			snprintf(out->text, sizeof(out->text), "%.*s", (int)(n - k), p + k);
			out->is_known = parse_semver(out);
			return;
		}
		p += n;
	}
}

/* ---- answers ----------------------------------------------------------------------------------------------------------------------- */

void phx_upgrade_accept(struct wr *w, const struct phx_upgrade *u)
{
	char accept[WS_ACCEPT_STRLEN];

	ws_accept(u->ws_key, accept);
	http_put_status(w, 101);
	http_put_field(w, "Connection", SPAN_STR("Upgrade"));
	http_put_field(w, "Upgrade", SPAN_STR("websocket"));
	http_put_field(w, "Sec-WebSocket-Accept", SPAN(accept, strlen(accept)));
	http_put_end(w);
}

void phx_problem(struct wr *w, u16 status, const char *code, const char *detail, u32 retry_after)
{
	struct json_out o = JSON_OUT;

	if (detail) {
		json_open(&o, NULL);
		json_put_str(&o, "type", "about:blank");
		json_put_str(&o, "title", http_reason(status));
		json_put_u64(&o, "status", status);
		json_put_str(&o, "detail", detail);
		if (code)
			json_put_str(&o, "code", code);
		json_close(&o);
	}
	http_put_status(w, status);
	if (detail)
		http_put_field(w, "Content-Type", SPAN_STR("application/problem+json; charset=utf-8"));
	if (retry_after)
		http_put_field_u64(w, "Retry-After", retry_after);
	if (status == 426)
		http_put_field(w, "Sec-WebSocket-Version", SPAN_STR("13"));
	http_put_field_u64(w, "Content-Length", json_ok(&o) ? o.len : 0);
	http_put_field(w, "Connection", SPAN_STR("close"));
	http_put_end(w);
	if (json_ok(&o))
		wr_bytes(w, o.buf, o.len);
	json_out_free(&o);
}
