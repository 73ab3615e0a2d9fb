#include "applets/portal/model/rules_int.h"

#include "applets/portal/model/idna.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int complain(struct complaint *c, const char *field, const char *fmt, ...)
{
	va_list ap;

	snprintf(c->field, sizeof(c->field), "%s", field);
	va_start(ap, fmt);
	vsnprintf(c->reason, sizeof(c->reason), fmt, ap);
	va_end(ap);
	return ERR_INVAL;
}

/* ---- text --------------------------------------------------------------------------------------------------------------- */

static void trim(char *s)
{
	size_t lead = 0, n = strlen(s);

	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	while (lead < n && isspace((unsigned char)s[lead]))
		lead++;
	memmove(s, s + lead, n - lead);
	s[n - lead] = '\0';
}

/* Characters of UTF-8 text; -1 when it is not, or holds control characters. */
static int characters(const char *s)
{
	int n = 0;

	for (const u8 *p = (const u8 *)s; *p; n++) {
		int more = *p < 0x80 ? 0 : *p >= 0xf0 && *p < 0xf5 ? 3 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xc2 && *p < 0xe0 ? 1 : -1;
		if (more < 0 || *p < 0x20 || *p == 0x7f)
			return -1;
		for (p++; more > 0; more--, p++)
			if ((*p & 0xc0) != 0x80)
				return -1;
	}
	return n;
}

int check_text(const char *field, char *s, int min, int max, struct complaint *c)
{
	if (!s)
		return min > 0 ? complain(c, field, "is required") : 0;
	trim(s);
	int n = characters(s);
	if (n < 0)
		return complain(c, field, "must be plain UTF-8 text");
	if (n == 0 && min > 0)
		return complain(c, field, "must not be empty");
	if (n < min || n > max)
		return complain(c, field, "must have %d to %d characters, this one has %d", min, max, n);
	return 0;
}

void null_if_empty(char **s)
{
	if (!*s)
		return;
	trim(*s);
	if (**s)
		return;
	free(*s);
	*s = NULL;
}

bool word_next(struct span *list, struct span *word)
{
	while (list->n > 0 && (*list->p == ' ' || *list->p == '\t')) {
		list->p++;
		list->n--;
	}
	word->p = list->p;
	word->n = 0;
	while (list->n > 0 && *list->p != ' ' && *list->p != '\t') {
		list->p++;
		list->n--;
		word->n++;
	}
	return word->n > 0;
}

static struct span text_span(const char *s)
{
	return SPAN(s ? s : "", s ? strlen(s) : 0);
}

static bool span_is(struct span s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static const char *find_byte(struct span s, int byte)
{
	return s.n ? memchr(s.p, byte, s.n) : NULL;
}

/* ---- account ---------------------------------------------------------------------------------------------------------------- */

static bool cidrs_overlap(const struct cidr *a, const struct cidr *b)
{
	return a->ip.family == b->ip.family && (cidr_contains(a, &b->ip) || cidr_contains(b, &a->ip));
}

static struct cidr cidr_of(const char *text)
{
	struct cidr c = { 0 };

	(void)cidr_parse(SPAN(text, strlen(text)), &c);
	return c;
}

static bool is_reserved(const struct cidr *net)
{
	const struct cidr tunnel4 = cidr_of("100.64.0.0/10"), tunnel6 = cidr_of("fd00:2021:1111::/48");

	return cidrs_overlap(net, &tunnel4) || cidrs_overlap(net, &tunnel6);
}

static bool is_fqdn(const char *s)
{
	size_t n = strlen(s), label = 0;
	const char *dot = strrchr(s, '.');

	if (n > 255 || !isalnum((unsigned char)s[0]) || !dot || strlen(dot + 1) < 2)
		return false;
	for (const char *p = dot + 1; *p; p++)
		if (!isalpha((unsigned char)*p))
			return false;
	for (const char *p = s; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.')
			return false;
		label = *p == '.' ? 0 : label + 1;
		if (label > 63 || (*p == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

#define DNS_SERVERS_MAX 16

static int check_dns_servers(struct account *a, struct complaint *c)
{
	char text[DNS_SERVERS_MAX * IP_STRLEN] = "", one[IP_STRLEN];
	struct ip seen[DNS_SERVERS_MAX];
	struct span list = text_span(a->dns_addresses), word;
	size_t n = 0;

	while (word_next(&list, &word)) {
		struct cidr net = { .len = 0 };

		if (n == DNS_SERVERS_MAX)
			return complain(c, "dns_addresses", "at most %d servers", DNS_SERVERS_MAX);
		if (ip_parse(word, &net.ip))
			return complain(c, "dns_addresses", "'%.*s' is not an IP address (without port)", (int)word.n, word.p);
		net.len = net.ip.family == 4 ? 32 : 128;
		if (is_reserved(&net))
			return complain(c, "dns_addresses", "'%.*s' lies in the range of tunnel addresses", (int)word.n, word.p);
		for (size_t i = 0; i < n; i++)
			if (ip_eq(&seen[i], &net.ip))
				return complain(c, "dns_addresses", "'%.*s' is given twice", (int)word.n, word.p);
		seen[n++] = net.ip;
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", used ? " " : "", ip_format(&net.ip, one));
	}
	if (a->dns_type == DNS_CUSTOM && n == 0)
		return complain(c, "dns_addresses", "custom DNS needs at least one server");
	return text_set(&a->dns_addresses, n ? text : NULL);
}

int check_account(struct account *a, struct complaint *c)
{
	int rc = check_text("name", a->name, 3, 64, c);

	null_if_empty(&a->legal_name);
	rc = rc ? rc : check_text("legal_name", a->legal_name, 0, 255, c);
	rc = rc ? rc : check_text("slug", a->slug, 3, 100, c);
	if (rc)
		return rc;
	for (char *p = a->slug; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
		if (!isalnum((unsigned char)*p) && *p != '_')
			return complain(c, "slug", "may hold only letters, digits and _");
	}
	null_if_empty(&a->search_domain);
	null_if_empty(&a->disabled_reason);
	if (a->search_domain && !is_fqdn(a->search_domain))
		return complain(c, "search_domain", "'%s' is not a full domain name", a->search_domain);
	return check_dns_servers(a, c);
}

/* ---- actor, group, site --------------------------------------------------------------------------------------------------------- */

/* Its domain is kept as mail servers know it. */
int check_email(const char *field, char **email, struct complaint *c)
{
	char normal[EMAIL_MAX + 1];

	if (characters(*email) < 0 || email_normalise(*email, normal))
		return complain(c, field, "'%s' is not an e-mail address", *email);
	return text_set(email, normal);
}

int check_actor(struct actor *a, struct complaint *c)
{
	bool is_person = a->type == ACTOR_USER || a->type == ACTOR_ADMIN;
	int rc = check_text("name", a->name, 1, 255, c);

	if (rc)
		return rc;
	null_if_empty(&a->email);
	if (is_person && !a->email)
		return complain(c, "email", "is required for a user");
	if (!is_person && a->email)
		return complain(c, "email", "a %s has none", a->type == ACTOR_SERVICE ? "service account" : "API client");
	return a->email ? check_email("email", &a->email, c) : 0;
}

int check_group(struct group *g, struct complaint *c)
{
	int rc = check_text("name", g->name, 1, 255, c);

	null_if_empty(&g->idp_id);
	null_if_empty(&g->email);
	rc = rc ? rc : check_text("idp_id", g->idp_id, 0, 255, c);
	return rc ? rc : check_text("email", g->email, 0, 255, c);
}

int check_site(struct site *s, struct complaint *c)
{
	return check_text("name", s->name, 1, 64, c);
}

/* ---- resource --------------------------------------------------------------------------------------------------------------------- */

static bool has_port(const char *s)
{
	const char *close = strrchr(s, ']');
	const char *colon = strchr(s, ':');

	if (close && close[1] == ':' && close[2]) {
		const char *p = close + 2;
		while (isdigit((unsigned char)*p))
			p++;
		if (!*p)
			return true;
	}
	return colon && !strchr(colon + 1, ':');
}

/* "[fd09::]/64" and "fd09::/64" alike. False when brackets do not pair. */
static bool drop_brackets(char *s)
{
	char *open = strchr(s, '['), *close = strchr(s, ']');

	if (!open && !close)
		return true;
	if (open != s || !close || close < open || strchr(open + 1, '[') || strchr(close + 1, ']'))
		return false;
	memmove(close, close + 1, strlen(close));
	memmove(open, open + 1, strlen(open));
	return true;
}

static const char *forbidden_net(const struct cidr *net)
{
	static const char *const full[] = { "0.0.0.0/32", "::/128" };
	static const char *const loopback[] = { "127.0.0.0/8", "::1/128" };

	for (size_t i = 0; i < ARRAY_LEN(full); i++) {
		const struct cidr f = cidr_of(full[i]);
		if (cidrs_overlap(net, &f))
			return "covers the whole internet: use the internet resource";
	}
	for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
		const struct cidr l = cidr_of(loopback[i]);
		if (cidrs_overlap(net, &l))
			return "overlaps the loopback addresses";
	}
	return is_reserved(net) ? "overlaps the range of tunnel addresses" : NULL;
}

static void clear_host_bits(struct cidr *net)
{
	size_t bytes = ip_len(&net->ip);

	for (size_t i = 0; i < bytes; i++) {
		int keep = (int)net->len - (int)i * 8;
		if (keep < 8)
			net->ip.b[i] &= (u8)(keep <= 0 ? 0u : 0xffu << (8 - keep));
	}
}

static int check_ip_address(struct resource *r, struct complaint *c)
{
	char text[CIDR_STRLEN];
	struct cidr net = { .len = 0 };
	char *slash;

	if (!drop_brackets(r->address))
		return complain(c, "address", "has unbalanced brackets");
	slash = strchr(r->address, '/');
	if (r->type == RESOURCE_IP && slash)
		return complain(c, "address", "a resource of type ip has no mask; use type cidr");
	if (r->type == RESOURCE_CIDR && !slash)
		return complain(c, "address", "needs a mask, such as %s/24", r->address);
	size_t n = slash ? (size_t)(slash - r->address) : strlen(r->address);
	if (ip_parse(SPAN(r->address, n), &net.ip))
		return complain(c, "address", "'%s' is not an IP %s", r->address, slash ? "network" : "address");
	net.len = net.ip.family == 4 ? 32 : 128;
	if (slash) {
		char *end;
		long len = strtol(slash + 1, &end, 10);
		if (!isdigit((unsigned char)slash[1]) || *end || len > net.len)
			return complain(c, "address", "'%s' is not a prefix length", slash + 1);
		net.len = (u8)len;
	}
	clear_host_bits(&net);
	const char *why = forbidden_net(&net);
	if (why)
		return complain(c, "address", "%s", why);
	return text_set(&r->address, slash ? cidr_format(&net, text) : ip_format(&net.ip, text));
}

static bool is_all_wildcard(const char *label, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (label[i] != '*' && label[i] != '?')
			return false;
	return true;
}

static bool is_well_known_tld(const char *tld)
{
	static const char *const known[] = { "com", "org", "net", "edu", "gov", "mil", "biz", "info", "name", "mobi", "pro" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(known[i], tld) == 0)
			return true;
	return strlen(tld) == 2 && isalpha((unsigned char)tld[0]) && isalpha((unsigned char)tld[1]);
}

#define DNS_LABELS_MAX 127

static int check_dns_address(struct resource *r, struct complaint *c)
{
	struct ip ip;
	const char *s = r->address, *tld = s;
	int labels = 0, wild = 0;
	bool is_tld_wild = false;

	if (ip_parse(text_span(s), &ip) == 0)
		return complain(c, "address", "'%s' is an IP address; use type ip", s);
	if (characters(s) > 253)
		return complain(c, "address", "is longer than 253 characters");
	for (const char *p = s; labels < DNS_LABELS_MAX; p++) {
		size_t n = strcspn(p, ".");
		char label[256];

		snprintf(label, sizeof(label), "%.*s", (int)n, p);
		if (n == 0)
			return complain(c, "address", "has an empty label");
		if (characters(label) > 63)
			return complain(c, "address", "has a label longer than 63 characters");
		if (label[0] == '-' || label[n - 1] == '-')
			return complain(c, "address", "has a label that begins or ends with -");
		for (size_t i = 0; i < n; i++)
			if (!isalnum((unsigned char)p[i]) && !strchr("-*?_", p[i]) && (u8)p[i] < 0x80)
				return complain(c, "address", "may not hold '%c'", p[i]);
		if (strchr(label, '_'))
			return complain(c, "address", "may not hold '_'");
		if (strstr(label, "**") && strcmp(label, "**") != 0)
			return complain(c, "address", "** must be a whole label");
		labels++;
		is_tld_wild = strpbrk(label, "*?") != NULL;
		wild += is_all_wildcard(label, n);
		tld = p;
		p += n;
		if (!*p)
			break;
	}
	if (is_tld_wild)
		return complain(c, "address", "the last label may not hold a wildcard");
	if (strcasecmp(tld, "localhost") == 0)
		return complain(c, "address", "localhost cannot be a resource");
	if (labels > 1 && wild == labels - 1 && is_well_known_tld(tld))
		return complain(c, "address", "'%s' covers a whole top-level domain", s);
	return 0;
}

int check_resource(struct resource *r, struct complaint *c)
{
	struct filter filters[FILTERS_MAX];
	int rc;

	null_if_empty(&r->address);
	null_if_empty(&r->address_description);
	null_if_empty(&r->filters);
	if (!r->name && r->address) {
		rc = text_set(&r->name, r->address);
		if (rc)
			return rc;
	}
	rc = check_text("name", r->name, 1, 255, c);
	rc = rc ? rc : check_text("address_description", r->address_description, 0, 255, c);
	if (rc)
		return rc;
	if (r->type == RESOURCE_POOL) {
		if (r->address || r->filters || !uuid_is_null(&r->site_id))
			return complain(c, "type", "a device pool has neither address nor site nor filters");
		r->ip_stack = STACK_NONE;
		return 0;
	}
	if (r->type == RESOURCE_INTERNET) {
		if (r->address)
			return complain(c, "address", "the internet resource has none");
	} else if (!r->address) {
		return complain(c, "address", "is required");
	} else if (has_port(r->address)) {
		return complain(c, "address", "must not carry a port; use --filter tcp:PORT");
	}
	if (r->type == RESOURCE_IP || r->type == RESOURCE_CIDR)
		rc = check_ip_address(r, c);
	else if (r->type == RESOURCE_DNS)
		rc = check_dns_address(r, c);
	if (rc)
		return rc;
	if (r->type != RESOURCE_DNS)
		r->ip_stack = STACK_NONE;
	else if (r->ip_stack == STACK_NONE)
		r->ip_stack = STACK_DUAL;
	if (uuid_is_null(&r->site_id))
		return complain(c, "site_id", "is required");
	rc = filters_parse(r->filters, filters, c);
	return rc < 0 ? rc : 0;
}

/* ---- filters ------------------------------------------------------------------------------------------------------------------------ */

const char *const protocol_names[] = { "tcp", "udp", "icmp", NULL };

static bool parse_port(struct span s, u16 *out)
{
	u32 v = 0;

	if (s.n == 0 || s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!isdigit(s.p[i]))
			return false;
		v = v * 10 + (u32)(s.p[i] - '0');
	}
	*out = (u16)v;
	return v >= 1 && v <= 65535;
}

static bool parse_ports(struct span s, struct filter *f)
{
	const char *dash = find_byte(s, '-');

	f->has_ports = true;
	if (!dash) {
		bool ok = parse_port(s, &f->first);
		f->last = f->first;
		return ok;
	}
	size_t n = (size_t)(dash - (const char *)s.p);
	return parse_port(SPAN(s.p, n), &f->first) && parse_port(SPAN(s.p + n + 1, s.n - n - 1), &f->last) && f->first <= f->last;
}

int filters_parse(const char *text, struct filter out[static FILTERS_MAX], struct complaint *c)
{
	struct span list = text_span(text), word;
	bool seen[3] = { false };
	int n = 0;

	while (word_next(&list, &word)) {
		const char *colon = find_byte(word, ':');
		struct span name = { word.p, colon ? (size_t)(colon - (const char *)word.p) : word.n };
		struct filter f = { .has_ports = false };
		int p = 0;

		while (protocol_names[p] && !span_is(name, protocol_names[p]))
			p++;
		if (!protocol_names[p])
			return complain(c, "filters", "'%.*s' is not a protocol (tcp, udp, icmp)", (int)name.n, name.p);
		if (seen[p])
			return complain(c, "filters", "%s is given twice; join its ports with commas", protocol_names[p]);
		seen[p] = true;
		f.protocol = (enum protocol)p;
		if (colon && f.protocol == PROTO_ICMP)
			return complain(c, "filters", "icmp has no ports");
		struct span ports = colon ? SPAN(colon + 1, word.n - name.n - 1) : SPAN_NONE;
		do {
			const char *comma = find_byte(ports, ',');
			struct span one = { ports.p, comma ? (size_t)(comma - (const char *)ports.p) : ports.n };

			if (n == FILTERS_MAX)
				return complain(c, "filters", "at most %d ports and ranges", FILTERS_MAX);
			if (colon && !parse_ports(one, &f))
				return complain(c, "filters", "'%.*s' is not a port or range (1-65535, such as 22 or 8000-9000)",
						(int)one.n, one.p);
			out[n++] = f;
			ports = comma ? SPAN(comma + 1, ports.n - one.n - 1) : SPAN_NONE;
		} while (ports.p);
	}
	return n;
}

/* ---- conditions ----------------------------------------------------------------------------------------------------------------------- */

const char *const property_names[] = { "remote_ip_location_region", "remote_ip", "auth_provider_id", "current_utc_datetime",
				       "client_verified", NULL };

static const char *const operators[PROP_COUNT][2] = {
	[PROP_REGION] = { "is_in", "is_not_in" },
	[PROP_REMOTE_IP] = { "is_in_cidr", "is_not_in_cidr" },
	[PROP_PROVIDER] = { "is_in", "is_not_in" },
	[PROP_TIME] = { "is_in_day_of_week_time_ranges", NULL },
	[PROP_VERIFIED] = { "is", NULL },
};

bool condition_next(const char **at, struct condition *out)
{
	while (*at && **at) {
		size_t n = strcspn(*at, "\n");
		struct span line = SPAN(*at, n), property, operator;

		*at += n + ((*at)[n] == '\n');
		if (!word_next(&line, &property) || !word_next(&line, &operator))
			continue;
		int p = 0;
		while (property_names[p] && !span_is(property, property_names[p]))
			p++;
		if (!property_names[p])
			continue;
		out->property = (enum property)p;
		out->is_negated = operators[p][1] && span_is(operator, operators[p][1]);
		out->values = line;
		return true;
	}
	return false;
}

/* "9", "9:30" or "9:30:15" to seconds of the day. */
static bool parse_clock(struct span s, int *out)
{
	int part[3] = { 0 }, n = 0;
	size_t digits = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ':' && digits > 0 && n < 2) {
			n++;
			digits = 0;
		} else if (isdigit(s.p[i]) && ++digits <= 2) {
			part[n] = part[n] * 10 + (s.p[i] - '0');
		} else {
			return false;
		}
	}
	*out = part[0] * 3600 + part[1] * 60 + part[2];
	return digits > 0 && part[0] < 24 && part[1] < 60 && part[2] < 60;
}

static int merge_ranges(struct day_range *r, int n)
{
	int out = 0;

	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && r[j].first < r[j - 1].first; j--) {
			struct day_range t = r[j];
			r[j] = r[j - 1];
			r[j - 1] = t;
		}
	for (int i = 1; i < n; i++) {
		if (r[i].first <= r[out].last)
			r[out].last = MAX(r[out].last, r[i].last);
		else
			r[++out] = r[i];
	}
	return n ? out + 1 : 0;
}

int day_ranges_parse(struct span value, int *weekday, struct day_range out[static DAY_RANGES_MAX], struct span *zone)
{
	static const char days[] = "UMTWRFS"; /* from Sunday on */
	int n = 0;

	if (value.n < 2 || value.p[0] == 0 || !strchr(days, value.p[0]) || value.p[1] != '/')
		return ERR_INVAL;
	*weekday = (int)(strchr(days, value.p[0]) - days);
	struct span rest = SPAN(value.p + 2, value.n - 2);
	const char *slash = find_byte(rest, '/');
	if (!slash)
		return ERR_INVAL;
	struct span ranges = SPAN(rest.p, (size_t)(slash - (const char *)rest.p));
	*zone = SPAN(slash + 1, rest.n - ranges.n - 1);
	if (zone->n == 0)
		return ERR_INVAL;
	while (ranges.p) {
		const char *comma = find_byte(ranges, ',');
		struct span one = { ranges.p, comma ? (size_t)(comma - (const char *)ranges.p) : ranges.n };
		const char *dash = find_byte(one, '-');

		if (n == DAY_RANGES_MAX)
			return ERR_INVAL;
		if (span_is(one, "true")) {
			out[n] = (struct day_range){ 0, 24 * 3600 - 1 };
		} else {
			size_t k = dash ? (size_t)(dash - (const char *)one.p) : 0;
			if (!dash || !parse_clock(SPAN(one.p, k), &out[n].first) ||
			    !parse_clock(SPAN(one.p + k + 1, one.n - k - 1), &out[n].last) || out[n].first > out[n].last)
				return ERR_INVAL;
		}
		n++;
		ranges = comma ? SPAN(comma + 1, ranges.n - one.n - 1) : SPAN_NONE;
	}
	return merge_ranges(out, n);
}

static int check_value(enum property p, struct span v, struct complaint *c)
{
	struct day_range ranges[DAY_RANGES_MAX];
	struct cidr net;
	struct uuid id;
	struct span zone;
	int weekday;
	bool ok = false;

	switch (p) {
	case PROP_REGION:
		ok = v.n == 2 && isupper(v.p[0]) && isupper(v.p[1]);
		break;
	case PROP_REMOTE_IP:
		ok = cidr_parse(v, &net) == 0;
		break;
	case PROP_PROVIDER:
		ok = uuid_parse(v, &id) == 0;
		break;
	case PROP_TIME:
		ok = day_ranges_parse(v, &weekday, ranges, &zone) > 0;
		break;
	case PROP_VERIFIED:
		ok = span_is(v, "true") || span_is(v, "false");
		break;
	case PROP_COUNT:
		break;
	}
	return ok ? 0 : complain(c, "conditions", "%s: '%.*s' is not a value it takes", property_names[p], (int)v.n, v.p);
}

static int check_conditions(const char *text, struct complaint *c)
{
	bool seen[PROP_COUNT] = { false };

	for (const char *at = text; at && *at;) {
		size_t n = strcspn(at, "\n");
		struct span line = SPAN(at, n), property, operator, value;
		int p = 0, values = 0;

		at += n + (at[n] == '\n');
		if (!word_next(&line, &property))
			continue;
		while (property_names[p] && !span_is(property, property_names[p]))
			p++;
		if (!property_names[p])
			return complain(c, "conditions", "'%.*s' is not a property", (int)property.n, property.p);
		if (seen[p])
			return complain(c, "conditions", "%s is given twice", property_names[p]);
		seen[p] = true;
		if (!word_next(&line, &operator) ||
		    !(span_is(operator, operators[p][0]) || (operators[p][1] && span_is(operator, operators[p][1]))))
			return complain(c, "conditions", "%s takes the operator %s%s%s", property_names[p], operators[p][0],
					operators[p][1] ? " or " : "", operators[p][1] ? operators[p][1] : "");
		for (; word_next(&line, &value); values++) {
			int rc = check_value((enum property)p, value, c);
			if (rc)
				return rc;
		}
		if (values == 0 || (p == PROP_VERIFIED && values > 1))
			return complain(c, "conditions", "%s needs %s", property_names[p],
					values ? "one value" : "a value");
	}
	return 0;
}

int check_policy(struct policy *p, struct complaint *c)
{
	null_if_empty(&p->description);
	null_if_empty(&p->conditions);
	int rc = check_text("description", p->description, 0, 1024, c);

	if (rc)
		return rc;
	if (uuid_is_null(&p->resource_id))
		return complain(c, "resource_id", "is required");
	return check_conditions(p->conditions, c);
}

/* ---- devices, tokens ---------------------------------------------------------------------------------------------------------------------- */

int check_device(enum kind k, struct device *d, struct complaint *c)
{
	int rc = check_text("external_id", d->external_id, 1, 255, c);

	rc = rc ? rc : check_text("name", d->name, 1, 255, c);
	if (rc || k != KIND_CLIENT)
		return rc;
	struct client *cl = container_of(d, struct client, d);
	null_if_empty(&cl->device_serial);
	null_if_empty(&cl->device_uuid);
	null_if_empty(&cl->identifier_for_vendor);
	null_if_empty(&cl->firebase_installation_id);
	rc = check_text("device_serial", cl->device_serial, 0, 255, c);
	rc = rc ? rc : check_text("device_uuid", cl->device_uuid, 0, 255, c);
	rc = rc ? rc : check_text("identifier_for_vendor", cl->identifier_for_vendor, 0, 255, c);
	return rc ? rc : check_text("firebase_installation_id", cl->firebase_installation_id, 0, 255, c);
}

int check_token(struct token *t, struct complaint *c)
{
	null_if_empty(&t->name);
	return check_text("name", t->name, 0, 255, c);
}
