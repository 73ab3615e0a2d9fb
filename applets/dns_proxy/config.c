#include "applets/dns_proxy/config.h"

#include "core/dns/doh.h"
#include "core/dns/lookup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TXT_STRING_MAX 255u
#define WHAT_MAX 320u

struct words {
	const char *w[CONFIG_WORDS_MAX];
	size_t n;
	char text[CONFIG_LINE_MAX]; /* what the words point into */
};

const struct config_word config_words[CONFIG_DIRECTIVES] = {
	[CONFIG_LISTEN] = { "listen", "ADDRESS[:PORT]", "answer there, UDP and TCP; repeatable; default 127.0.0.1 and ::1, port 53" },
	[CONFIG_UPSTREAM] = { "upstream", "SERVER ...", "ask these: 1.1.1.1, 1.1.1.1:5353, tcp://..., https://host/path; default those of "
						     "/etc/resolv.conf; `none`: nobody" },
	[CONFIG_RULE] = { "rule", "PATTERN SERVER ...", "ask these for names like *.example.com (one label) or **.example.com (all below); the most "
						      "specific pattern decides; `default` or `block` instead of servers; repeatable" },
	[CONFIG_RECORD] = { "record", "NAME [TTL] TYPE VALUE", "answer this: A, AAAA, CNAME, TXT or PTR; addresses get their PTR; repeatable" },
	[CONFIG_SEARCH] = { "search", "SUFFIX ...", "try names of a single label below these domains" },
	[CONFIG_BLOCKLIST] = { "blocklist", "FILE", "names that do not exist, with all below: one a line, or a hosts file; repeatable" },
	[CONFIG_BLOCK_ANSWER] = { "block-answer", "nxdomain|zero", "say that blocked names do not exist (default), or have the address 0.0.0.0" },
	[CONFIG_ALLOW] = { "allow", "NETWORK ...", "clients to serve besides loopback, private and link-local addresses" },
	[CONFIG_STRANGERS] = { "strangers", "refuse|ignore", "tell other clients REFUSED (default), or nothing" },
	[CONFIG_RATE_LIMIT] = { "rate-limit", "QUERIES [BURST]", "per second of one client, 0 = none; default 1000, bursts of twice that; loopback "
								 "has no limit" },
	[CONFIG_CACHE_SIZE] = { "cache-size", "BYTES", "memory for answers, with k or M; 0 = none; default 3M, some 9,000 names" },
	[CONFIG_APPLICATION_DNS] = { "application-dns", "hide|show", "keep browsers from going around this server by DNS over HTTPS (default), or "
								     "not" },
	[CONFIG_BOOTSTRAP] = { "bootstrap", "ADDRESS ...", "ask these for the addresses of https:// servers; default those of /etc/resolv.conf" },
	[CONFIG_QUERY_LOG] = { "query-log", "FILE|stdout|off", "a line for each query; reopened on SIGHUP" },
	[CONFIG_QUERY_LOG_FORMAT] = { "query-log-format", "text|json", "of these lines" },
	[CONFIG_STATS_SOCKET] = { "stats-socket", "PATH|off", "where `dns-proxy stats` finds it; default /run/ember-dns-proxy.sock" },
	[CONFIG_USER] = { "user", "NAME", "become this user once the sockets are open; default nobody" },
};

/* --- errors --- */

void config_error(struct config *c, const char *place, const char *what)
{
	if (c->errors++ < CONFIG_ERRORS_MAX && c->report)
		c->report(c->report_ctx, place, what);
}

static bool PRINTF_LIKE(2, 3) wrong(struct config *c, const char *fmt, ...)
{
	char what[WHAT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	config_error(c, c->place, what);
	return false;
}

static bool refused(struct config *c, const char *what, const char *word, int rc)
{
	return wrong(c, "\"%.100s\": %s: %s", word, what, err_str(rc));
}

/* --- values --- */

static struct span span_of(const char *text)
{
	return SPAN(text, strlen(text));
}

/* "1.2.3.4", "::1", "1.2.3.4:5", "[::1]:5", "[::1]". */
static bool read_endpoint(const char *text, struct endpoint *out)
{
	struct span s = span_of(text);

	*out = (struct endpoint){ .port = CONFIG_PORT };
	if (ip_parse(s, &out->ip) == 0)
		return true;
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return ip_parse(SPAN(s.p + 1, s.n - 2), &out->ip) == 0 && out->ip.family == 6;
	return endpoint_parse(s, out) == 0 && out->port != 0;
}

static bool read_name(struct config *c, const char *text, struct dns_name *out)
{
	if (dns_name_from_text(text, out) == 0)
		return true;
	return wrong(c, "\"%.100s\" is no domain name", text);
}

static bool read_count(const char *text, u64 max, u64 *out)
{
	u64 v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && v <= max; p++)
		v = v * 10 + (u64)(*p - '0');
	*out = v;
	return p != text && *p == '\0' && v <= max;
}

static bool read_bytes(const char *text, u64 max, u64 *out)
{
	char digits[32];
	size_t n = strlen(text);
	u64 unit = 1;

	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n + 1);
	switch (digits[n - 1]) {
	case 'k':
	case 'K':
		unit = 1024;
		break;
	case 'm':
	case 'M':
		unit = 1024 * 1024;
		break;
	}
	if (unit > 1)
		digits[n - 1] = '\0';
	if (!read_count(digits, max / unit, out))
		return false;
	*out *= unit;
	return true;
}

static bool read_https(struct config *c, const char *text, struct dns_server *out)
{
	struct doh_url url;
	int rc = doh_url_parse(span_of(text), &url);

	if (rc == 0 && strlen(text) >= sizeof(out->url))
		rc = ERR_LIMIT;
	if (rc != 0)
		return wrong(c, "\"%.100s\" is no URL of a DNS server: https://HOST[:PORT]/PATH without query or fragment", text);
	if (!doh_is_available())
		return wrong(c, "\"%.100s\": %s", text, DOH_MISSING);
	out->transport = DNS_OVER_HTTPS;
	memcpy(out->url, text, strlen(text) + 1);
	c->wants_https = true;
	if (url.literal.family == 0)
		snprintf(c->https_name, sizeof(c->https_name), "%s", url.host);
	return true;
}

static bool is_listener(const struct config *c, const struct endpoint *ep)
{
	for (u32 i = 0; i < c->n_listen; i++)
		if (endpoint_eq(&c->listen[i], ep))
			return true;
	return false;
}

static bool read_server(struct config *c, const char *text, struct dns_server *out)
{
	const char *rest = text;

	*out = (struct dns_server){ .transport = DNS_OVER_UDP };
	if (strncmp(text, "https://", 8) == 0)
		return read_https(c, text, out);
	if (strncmp(text, "udp://", 6) == 0)
		rest += 6;
	if (strncmp(text, "tcp://", 6) == 0) {
		out->transport = DNS_OVER_TCP;
		rest += 6;
	}
	if (read_endpoint(rest, &out->addr) && !ip_is_unspecified(&out->addr.ip))
		return true;
	return wrong(c, "\"%.100s\" is no server: ADDRESS[:PORT], tcp://ADDRESS[:PORT] or https://HOST/PATH", text);
}

static bool read_servers(struct config *c, const char *const *w, size_t n, struct dns_server out[static FORWARD_SERVERS_MAX])
{
	bool is_fine = true;

	if (n == 0)
		return wrong(c, "which server?");
	if (n > FORWARD_SERVERS_MAX)
		return wrong(c, "more than %u servers", FORWARD_SERVERS_MAX);
	for (size_t i = 0; i < n; i++)
		is_fine &= read_server(c, w[i], &out[i]);
	return is_fine;
}

static bool read_choice(struct config *c, const char *word, const char *no, const char *yes, bool *out)
{
	*out = strcmp(word, yes) == 0;
	return *out || strcmp(word, no) == 0 || wrong(c, "\"%.100s\" is neither %s nor %s", word, no, yes);
}

static bool read_text(struct config *c, const char *word, char out[static CONFIG_PATH_MAX])
{
	if (strlen(word) >= CONFIG_PATH_MAX)
		return wrong(c, "\"%.100s…\" is longer than %u characters", word, CONFIG_PATH_MAX - 1);
	memcpy(out, word, strlen(word) + 1);
	return true;
}

/* --- directives --- */

static bool take_listen(struct config *c, const struct words *v)
{
	struct endpoint ep;

	for (size_t i = 0; i < v->n; i++) {
		if (!read_endpoint(v->w[i], &ep))
			return wrong(c, "\"%.100s\" is no address to listen on: ADDRESS[:PORT]", v->w[i]);
		if (is_listener(c, &ep))
			return wrong(c, "\"%.100s\" is given twice", v->w[i]);
		if (c->n_listen == CONFIG_LISTEN_MAX)
			return wrong(c, "more than %u addresses to listen on", CONFIG_LISTEN_MAX);
		c->listen[c->n_listen++] = ep;
	}
	return true;
}

static bool take_upstream(struct config *c, const struct words *v)
{
	struct dns_server servers[FORWARD_SERVERS_MAX];

	if (v->n == 1 && strcmp(v->w[0], "none") == 0) {
		c->has_no_upstream = true;
		return true;
	}
	if (!read_servers(c, v->w, v->n, servers))
		return false;
	if (c->n_upstream + v->n > FORWARD_SERVERS_MAX)
		return wrong(c, "more than %u servers", FORWARD_SERVERS_MAX);
	memcpy(c->upstream + c->n_upstream, servers, v->n * sizeof(*servers));
	c->n_upstream += (u32)v->n;
	return true;
}

static bool take_rule(struct config *c, const struct words *v)
{
	struct dns_server servers[FORWARD_SERVERS_MAX];
	enum split_rule_kind kind = SPLIT_RULE_SERVERS;
	size_t n = v->n - 1;

	if (v->n < 2)
		return wrong(c, "rule needs a pattern and a server, `default` or `block`");
	if (n == 1 && strcmp(v->w[1], "default") == 0)
		kind = SPLIT_RULE_DEFAULT;
	else if (n == 1 && strcmp(v->w[1], "block") == 0)
		kind = SPLIT_RULE_BLOCK;
	else if (!read_servers(c, v->w + 1, n, servers))
		return false;
	int rc = split_add_rule(c->split, v->w[0], kind, servers, kind == SPLIT_RULE_SERVERS ? n : 0);
	if (rc == ERR_EXISTS)
		return wrong(c, "\"%.100s\" has a rule already", v->w[0]);
	if (rc == ERR_INVAL)
		return wrong(c, "\"%.100s\" is no pattern: `*` and `?` stand within a label, `**` alone in one", v->w[0]);
	return rc == 0 || refused(c, "too many rules or lists of servers", v->w[0], rc);
}

static bool record_ip(struct config *c, const char *word, u8 family, struct wr *out)
{
	struct ip ip;

	if (ip_parse(span_of(word), &ip) != 0 || ip.family != family)
		return wrong(c, "\"%.100s\" is no IPv%u address", word, family);
	wr_bytes(out, ip.b, ip_len(&ip));
	return true;
}

static bool record_name(struct config *c, const char *word, struct wr *out)
{
	struct dns_name name;

	if (!read_name(c, word, &name))
		return false;
	wr_bytes(out, name.wire, name.len);
	return true;
}

/* Strings of at most 255 octets; a longer word becomes several. */
static void record_txt(const char *const *w, size_t n, struct wr *out)
{
	for (size_t i = 0; i < n; i++) {
		const char *p = w[i];
		size_t left = strlen(p);
		do {
			size_t part = MIN(left, (size_t)TXT_STRING_MAX);
			wr_u8(out, (u8)part);
			wr_bytes(out, p, part);
			p += part;
			left -= part;
		} while (left > 0);
	}
}

static bool take_record(struct config *c, const struct words *v)
{
	u8 rdata[SPLIT_RDATA_MAX];
	struct wr w = wr_init(rdata, sizeof(rdata));
	struct dns_name name;
	u64 ttl = CONFIG_RECORD_TTL;
	size_t at = 1;
	u16 type;
	bool is_fine;

	if (v->n > 1 && v->w[1][0] >= '0' && v->w[1][0] <= '9' && !read_count(v->w[at++], INT32_MAX, &ttl))
		return wrong(c, "\"%.100s\" is no TTL in seconds", v->w[1]);
	if (v->n < at + 2)
		return wrong(c, "record needs a name, a type and a value");
	const char *kind = v->w[at++];
	if (strcmp(kind, "TXT") != 0 && v->n > at + 1)
		return wrong(c, "\"%.100s\" is one value too many", v->w[at + 1]);
	if (!read_name(c, v->w[0], &name))
		return false;
	if (strcmp(kind, "A") == 0) {
		type = DNS_A;
		is_fine = record_ip(c, v->w[at], 4, &w);
	} else if (strcmp(kind, "AAAA") == 0) {
		type = DNS_AAAA;
		is_fine = record_ip(c, v->w[at], 6, &w);
	} else if (strcmp(kind, "CNAME") == 0 || strcmp(kind, "PTR") == 0) {
		type = kind[0] == 'C' ? DNS_CNAME : DNS_PTR;
		is_fine = record_name(c, v->w[at], &w);
	} else if (strcmp(kind, "TXT") == 0) {
		type = DNS_TXT;
		is_fine = true;
		record_txt(v->w + at, v->n - at, &w);
	} else {
		return wrong(c, "\"%.100s\" is no type of record here: A, AAAA, CNAME, TXT or PTR", kind);
	}
	int rc = wr_ok(&w) ? 0 : ERR_LIMIT;
	if (rc == 0 && is_fine)
		rc = split_add_record(c->split, &name, type, (u32)ttl, wr_span(&w));
	if (rc == ERR_EXISTS)
		return wrong(c, "\"%.100s\": an alias (CNAME) is a name's only record", v->w[0]);
	return rc == 0 ? is_fine : refused(c, "too many records or too long", v->w[0], rc);
}

static bool take_search(struct config *c, const struct words *v)
{
	struct dns_name name;

	for (size_t i = 0; i < v->n; i++) {
		if (!read_name(c, v->w[i], &name))
			return false;
		if (split_add_search(c->split, &name) != 0)
			return wrong(c, "more than %u search domains", SPLIT_SEARCH_MAX);
	}
	return true;
}

static bool take_blocklist(struct config *c, const struct words *v)
{
	if (c->n_blocklists == CONFIG_BLOCKLISTS_MAX)
		return wrong(c, "more than %u blocklists", CONFIG_BLOCKLISTS_MAX);
	memcpy(c->blocklist_place[c->n_blocklists], c->place, sizeof(c->place));
	return read_text(c, v->w[0], c->blocklist[c->n_blocklists]) && ++c->n_blocklists;
}

static bool take_allow(struct config *c, const struct words *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct cidr net;
		if (cidr_parse(span_of(v->w[i]), &net) != 0)
			return wrong(c, "\"%.100s\" is no network: 203.0.113.0/24, without bits behind the prefix", v->w[i]);
		if (net.len < (net.ip.family == 4 ? CLIENTS_PREFIX4_MIN : CLIENTS_PREFIX6_MIN))
			return wrong(c, "\"%.100s\" is too wide (/%u at least): this would be an open resolver, a weapon against others", v->w[i],
				     net.ip.family == 4 ? CLIENTS_PREFIX4_MIN : CLIENTS_PREFIX6_MIN);
		if (c->n_allow == CLIENTS_LISTED_MAX)
			return wrong(c, "more than %u networks", CLIENTS_LISTED_MAX);
		c->allow[c->n_allow++] = net;
	}
	return true;
}

static bool take_rate(struct config *c, const struct words *v)
{
	u64 rate, burst;

	if (!read_count(v->w[0], CLIENTS_RATE_MAX, &rate))
		return wrong(c, "\"%.100s\" is no number of queries per second up to %u", v->w[0], CLIENTS_RATE_MAX);
	burst = MIN(2 * rate, (u64)CLIENTS_RATE_MAX);
	if (v->n > 1 && (!read_count(v->w[1], CLIENTS_RATE_MAX, &burst) || burst == 0))
		return wrong(c, "\"%.100s\" is no number of queries up to %u", v->w[1], CLIENTS_RATE_MAX);
	c->rate = (u32)rate;
	c->burst = (u32)burst;
	return true;
}

static bool take_cache(struct config *c, const struct words *v)
{
	u64 bytes;

	if (!read_bytes(v->w[0], CONFIG_CACHE_BYTES_MAX, &bytes))
		return wrong(c, "\"%.100s\" is no size: bytes, or with k or M, at most 1024M", v->w[0]);
	c->cache_bytes = (size_t)bytes;
	return true;
}

static bool take_bootstrap(struct config *c, const struct words *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct ip ip;
		if (ip_parse(span_of(v->w[i]), &ip) != 0)
			return wrong(c, "\"%.100s\" is no IP address", v->w[i]);
		if (c->n_bootstrap == CONFIG_BOOTSTRAP_MAX)
			return wrong(c, "more than %u bootstrap servers", CONFIG_BOOTSTRAP_MAX);
		c->bootstrap[c->n_bootstrap++] = ip;
	}
	return true;
}

static bool take_query_log(struct config *c, const struct words *v)
{
	bool is_fine = read_text(c, v->w[0], c->query_log);

	if (strcmp(c->query_log, "off") == 0)
		c->query_log[0] = '\0';
	return is_fine;
}

static bool take_stats(struct config *c, const struct words *v)
{
	bool is_fine = read_text(c, v->w[0], c->stats_socket);

	if (strcmp(c->stats_socket, "off") == 0)
		c->stats_socket[0] = '\0';
	c->is_stats_given = true;
	return is_fine;
}

/* How many values each takes, and whether it may come again. */
static const struct arity {
	size_t min, max;
	bool is_repeatable;
} arities[CONFIG_DIRECTIVES] = {
	[CONFIG_LISTEN] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_UPSTREAM] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_RULE] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_RECORD] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_SEARCH] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_BLOCKLIST] = { 1, 1, true },
	[CONFIG_BLOCK_ANSWER] = { 1, 1, false },
	[CONFIG_ALLOW] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_STRANGERS] = { 1, 1, false },
	[CONFIG_RATE_LIMIT] = { 1, 2, false },
	[CONFIG_CACHE_SIZE] = { 1, 1, false },
	[CONFIG_APPLICATION_DNS] = { 1, 1, false },
	[CONFIG_BOOTSTRAP] = { 1, CONFIG_WORDS_MAX, true },
	[CONFIG_QUERY_LOG] = { 1, 1, false },
	[CONFIG_QUERY_LOG_FORMAT] = { 1, 1, false },
	[CONFIG_STATS_SOCKET] = { 1, 1, false },
	[CONFIG_USER] = { 1, 1, false },
};

static bool take(struct config *c, enum config_directive d, const struct words *v)
{
	switch (d) {
	case CONFIG_LISTEN: return take_listen(c, v);
	case CONFIG_UPSTREAM: return take_upstream(c, v);
	case CONFIG_RULE: return take_rule(c, v);
	case CONFIG_RECORD: return take_record(c, v);
	case CONFIG_SEARCH: return take_search(c, v);
	case CONFIG_BLOCKLIST: return take_blocklist(c, v);
	case CONFIG_BLOCK_ANSWER: return read_choice(c, v->w[0], "nxdomain", "zero", &c->blocks_with_zero);
	case CONFIG_ALLOW: return take_allow(c, v);
	case CONFIG_STRANGERS: return read_choice(c, v->w[0], "refuse", "ignore", &c->refuses_silently);
	case CONFIG_RATE_LIMIT: return take_rate(c, v);
	case CONFIG_CACHE_SIZE: return take_cache(c, v);
	case CONFIG_APPLICATION_DNS: return read_choice(c, v->w[0], "hide", "show", &c->shows_application_dns);
	case CONFIG_BOOTSTRAP: return take_bootstrap(c, v);
	case CONFIG_QUERY_LOG: return take_query_log(c, v);
	case CONFIG_QUERY_LOG_FORMAT: return read_choice(c, v->w[0], "text", "json", &c->logs_json);
	case CONFIG_STATS_SOCKET: return take_stats(c, v);
	case CONFIG_USER:
		c->is_user_given = true;
		return read_text(c, v->w[0], c->user);
	case CONFIG_DIRECTIVES: break;
	}
	return false;
}

static void apply(struct config *c, enum config_directive d, const struct words *v)
{
	const struct arity *a = &arities[d];

	if (c->is_by_option[d] && !c->is_option && !a->is_repeatable)
		return;
	if (v->n < a->min || v->n > a->max)
		wrong(c, v->n < a->min ? "%s needs a value: %s" : "%s takes no more than: %s", config_words[d].name, config_words[d].meta);
	else if (c->is_given[d] && !a->is_repeatable)
		wrong(c, "%s is given twice", config_words[d].name);
	else if (take(c, d, v))
		c->is_given[d] = true;
	c->is_by_option[d] |= c->is_option;
}

/* --- lines --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Copies one word into `*to`; NULL: a quote without its end. */
static const char *split_word(const char *p, const char *end, char **to)
{
	bool is_quoted = false;

	for (; p < end && (is_quoted || !is_blank(*p)); p++) {
		if (*p == '"') {
			is_quoted = !is_quoted;
			continue;
		}
		if (is_quoted && *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
			p++;
		*(*to)++ = *p;
	}
	*(*to)++ = '\0';
	return is_quoted ? NULL : p;
}

static bool split_line(struct config *c, struct span line, struct words *out)
{
	const char *p = (const char *)line.p, *end = p + line.n;
	char *to = out->text;

	out->n = 0;
	if (line.n >= sizeof(out->text) / 2)
		return wrong(c, "the line is longer than %zu bytes", sizeof(out->text) / 2 - 1);
	if (memchr(line.p, 0, line.n))
		return wrong(c, "a NUL byte: this is no text");
	for (;;) {
		while (p < end && is_blank(*p))
			p++;
		if (p == end || *p == '#')
			return true;
		if (out->n == CONFIG_WORDS_MAX)
			return wrong(c, "more than %u words", CONFIG_WORDS_MAX);
		out->w[out->n++] = to;
		p = split_word(p, end, &to);
		if (!p)
			return wrong(c, "a quotation mark without its end");
	}
}

static void one_line(struct config *c, struct span line)
{
	struct words v;

	if (line.n == 0 || !split_line(c, line, &v) || v.n == 0)
		return;
	for (enum config_directive d = 0; d < CONFIG_DIRECTIVES; d++)
		if (strcmp(v.w[0], config_words[d].name) == 0) {
			v.n--;
			memmove(v.w, v.w + 1, v.n * sizeof(*v.w));
			apply(c, d, &v);
			return;
		}
	wrong(c, "\"%.100s\" is not known here (`dns-proxy --help` lists what is)", v.w[0]);
}

void config_text(struct config *c, const char *name, struct span text)
{
	const u8 *p = text.p, *end = text.p ? p + text.n : NULL;

	if (text.n > CONFIG_BYTES_MAX) {
		config_error(c, name, "the file is too large");
		return;
	}
	for (u32 number = 1; p < end; number++) {
		const u8 *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
		snprintf(c->place, sizeof(c->place), "%.*s:%u", (int)CONFIG_PATH_MAX - 1, name, number);
		one_line(c, SPAN(p, stop - p));
		p = nl ? nl + 1 : end;
	}
}

void config_option(struct config *c, enum config_directive d, const char *values)
{
	struct words v;

	snprintf(c->place, sizeof(c->place), "--%s", config_words[d].name);
	c->is_option = true;
	if (split_line(c, span_of(values), &v))
		apply(c, d, &v);
	c->is_option = false;
}

/* --- as a whole --- */

int config_init(struct config *c, struct rng *rng, config_report *report, void *ctx)
{
	*c = (struct config){
		.rate = CONFIG_RATE, .burst = 2 * CONFIG_RATE, .cache_bytes = PROXY_CACHE_BYTES, .rng = rng, .report = report, .report_ctx = ctx,
		.stats_socket = "/run/ember-dns-proxy.sock", .user = "nobody",
	};
	c->split = split_new(rng);
	return c->split ? 0 : ERR_NOMEM;
}

void config_deinit(struct config *c)
{
	split_free(c->split);
	clients_deinit(&c->clients);
	c->split = NULL;
}

static void default_listeners(struct config *c)
{
	const struct ip v6 = { .b = { [15] = 1 }, .family = 6 };

	if (c->n_listen > 0)
		return;
	c->listen[c->n_listen++] = (struct endpoint){ ip4(127, 0, 0, 1), CONFIG_PORT };
	c->listen[c->n_listen++] = (struct endpoint){ v6, CONFIG_PORT };
}

/* Whether a query to that address would come back here. */
static bool is_itself(const struct config *c, const struct endpoint *ep, bool (*is_own)(const struct ip *ip))
{
	if (is_listener(c, ep))
		return true;
	for (u32 i = 0; i < c->n_listen; i++)
		if (c->listen[i].port == ep->port && c->listen[i].ip.family == ep->ip.family && ip_is_unspecified(&c->listen[i].ip) &&
		    (ip_is_loopback(&ep->ip) || (is_own && is_own(&ep->ip))))
			return true;
	return false;
}

static void system_servers(struct config *c, struct span resolv_conf, bool (*is_own)(const struct ip *ip))
{
	struct lookup_conf conf;

	lookup_conf_parse(&conf, resolv_conf, NULL);
	for (u32 i = 0; i < conf.n_servers; i++) {
		const struct endpoint ep = { conf.servers[i], CONFIG_PORT };
		if (is_itself(c, &ep, is_own))
			continue;
		if (!c->is_given[CONFIG_UPSTREAM] && c->n_upstream < FORWARD_SERVERS_MAX)
			c->upstream[c->n_upstream++] = (struct dns_server){ .transport = DNS_OVER_UDP, .addr = ep };
		if (!c->is_given[CONFIG_BOOTSTRAP] && c->n_bootstrap < CONFIG_BOOTSTRAP_MAX)
			c->bootstrap[c->n_bootstrap++] = ep.ip;
	}
}

static void refuse_loops(struct config *c, bool (*is_own)(const struct ip *ip))
{
	const struct dns_server *servers;
	u32 n_groups = split_counts(c->split).groups;
	char text[ENDPOINT_STRLEN];

	for (u32 g = 0; g < n_groups; g++) {
		size_t n = split_group(c->split, g, &servers);
		for (size_t i = 0; i < n; i++)
			if (servers[i].transport != DNS_OVER_HTTPS && is_itself(c, &servers[i].addr, is_own))
				wrong(c, "the server %s is this proxy itself", endpoint_format(&servers[i].addr, text));
	}
}

void config_finish(struct config *c, struct span resolv_conf, bool (*is_own)(const struct ip *ip))
{
	int rc = clients_init(&c->clients, c->rate, c->burst, c->rng);

	snprintf(c->place, sizeof(c->place), "configuration");
	default_listeners(c);
	if (c->has_no_upstream && c->n_upstream > 0)
		wrong(c, "upstream is both `none` and servers");
	system_servers(c, resolv_conf, is_own);
	if (c->https_name[0] && c->n_bootstrap == 0)
		wrong(c, "nobody tells the address of %s: name a server with bootstrap", c->https_name);
	for (u32 i = 0; rc == 0 && i < c->n_allow; i++)
		rc = clients_allow(&c->clients, &c->allow[i]);
	if (rc == 0)
		rc = split_set_default(c->split, c->upstream, c->n_upstream);
	if (rc != 0)
		wrong(c, "%s", err_str(rc));
	refuse_loops(c, is_own);
	split_hide_application_dns(c->split, !c->shows_application_dns);
	split_finish(c->split);
}
