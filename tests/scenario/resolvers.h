/* tests/scenario/resolvers.h: the words about dns-proxy's engine and about the gateway's own resolver. Part of actions.h. */
#pragma once

static bool server_parse(const char *word, struct dns_server *out)
{
	*out = (struct dns_server){ .transport = DNS_OVER_UDP, .addr = { .port = 53 } };
	if (!word)
		return nonsense("a server is missing");
	if (strncmp(word, "https://", 8) == 0) {
		out->transport = DNS_OVER_HTTPS;
		return copy_word(word, out->url, sizeof(out->url));
	}
	return ip_parse(SPAN(word, strlen(word)), &out->addr.ip) == 0 ? true : nonsense("a server is an address or https://…");
}

static bool servers_read(struct words *l, struct dns_server list[static 8], size_t *n)
{
	for (*n = 0; l->at < l->n && *n < 8; (*n)++)
		if (!server_parse(words_next(l), &list[*n]))
			return false;
	return *n > 0 ? true : nonsense("a server is missing");
}

static bool proxy_rule(struct words *l)
{
	struct dns_server list[8];
	const char *pattern = words_next(l);
	enum split_rule_kind kind = SPLIT_RULE_SERVERS;
	size_t n = 0;

	if (!pattern)
		return nonsense("proxy rule PATTERN SERVER…|default|block");
	if (words_take(l, "default"))
		kind = SPLIT_RULE_DEFAULT;
	else if (words_take(l, "block"))
		kind = SPLIT_RULE_BLOCK;
	else if (!servers_read(l, list, &n))
		return false;
	return split_add_rule(w->split, pattern, kind, list, n) == 0 ? true : nonsense("no rule can be made of this");
}

static bool proxy_record(struct words *l)
{
	u8 data[600];
	struct wr d = wr_init(data, sizeof(data));
	struct dns_name name;
	u32 ttl;
	u16 type;

	if (!text_name_parse(words_next(l), &name) || !words_number(l, UINT32_MAX, &ttl) || !text_type_parse(words_next(l), &type) ||
	    !text_rdata_make(l, type, &d))
		return false;
	return split_add_record(w->split, &name, type, ttl, wr_span(&d)) == 0 ? true : nonsense("the record is refused");
}

/* The configuration, before the first question. */
static bool act_proxy(struct words *l)
{
	struct dns_server list[8];
	struct dns_name name;
	size_t n;

	if (!w->split)
		return nonsense("the rules are in force already");
	if (words_take(l, "default"))
		return servers_read(l, list, &n) && split_set_default(w->split, list, n) == 0;
	if (words_take(l, "rule"))
		return proxy_rule(l);
	if (words_take(l, "record"))
		return proxy_record(l);
	if (words_take(l, "search"))
		return text_name_parse(words_next(l), &name) && split_add_search(w->split, &name) == 0;
	if (words_take(l, "zero")) {
		w->answers_zero = true;
		return true;
	}
	if (!words_take(l, "block"))
		return nonsense("proxy default, rule, record, search, block or zero");
	if (!w->blocklist)
		w->blocklist = blocklist_new(&w->rng.rng);
	return text_name_parse(words_next(l), &name) && blocklist_add(w->blocklist, &name) == 0;
}

static bool proxy_goes(void)
{
	if (clients_init(&w->clients, 0, 0, &w->rng.rng))
		return nonsense("no memory");
	w->has_clients = true;
	if (w->blocklist)
		split_set_blocklist(w->split, w->blocklist, w->answers_zero);
	w->blocklist = NULL;
	split_hide_application_dns(w->split, true);
	split_finish(w->split);
	if (proxy_set_rules(w->proxy, w->now, w->split, &w->clients, false))
		return nonsense("the rules are refused");
	w->split = NULL;
	return true;
}

/* host asks TYPE NAME … [from IP] [tcp] */
static bool act_host(struct words *l)
{
	static u8 out[DNS_MESSAGE_MAX];
	struct proxy_client who = { .addr = { ip_of("192.168.1.9"), 40000 } };
	struct words rest = { .n = 0 };
	struct text_query q;
	size_t n = 0;

	if (!words_take(l, "asks"))
		return nonsense("a host asks");
	while (l->at < l->n) {
		if (words_take(l, "tcp"))
			who.is_tcp = true;
		else if (!words_take(l, "from"))
			rest.w[rest.n++] = l->w[l->at++];
		else if (!words_ip(l, &who.addr.ip))
			return false;
	}
	*l = rest;
	if (!text_query_make(l, 1, &q) || (w->split && !proxy_goes()))
		return false;
	if (proxy_input(w->proxy, w->now, &who, SPAN(q.message, q.len), (struct mspan){ out, sizeof(out) }, &n) == PROXY_ANSWER)
		happened_with(who.is_tcp ? "host hears tcp " : "host hears ", text_of_answer, SPAN(out, n));
	return true;
}

/* resolver server IP | search NAME… | ndots N | hosts IP NAME: the gateway has a resolver of its own from then on. */
static bool act_resolver(struct words *l)
{
	static struct text file; /* resolv.conf(5) */
	struct dns_server servers[FORWARD_SERVERS_MAX];
	struct forward_group g;
	char addr[IP_STRLEN];
	struct ip ip;
	u32 n;

	if (!w->lookup) {
		w->lookup = lookup_new(w->forwarders[BY_SITE], 0, &w->rng.rng);
		file.n = 0;
	}
	if (words_take(l, "server")) {
		if (!words_ip(l, &ip))
			return false;
		text_add(&file, "nameserver %s\n", ip_format(&ip, addr));
	} else if (words_take(l, "search")) {
		text_add(&file, "search");
		while (l->at < l->n)
			text_add(&file, " %s", words_next(l));
		text_add(&file, "\n");
	} else if (words_take(l, "ndots")) {
		if (!words_number(l, 15, &n))
			return false;
		text_add(&file, "options ndots:%u\n", n);
	} else if (words_take(l, "hosts")) {
		const char *name;
		if (!words_ip(l, &ip) || !(name = words_next(l)))
			return nonsense("resolver hosts IP NAME");
		text_add(&w->hosts, "%s %s\n", ip_format(&ip, addr), name);
		return lookup_set_hosts(w->lookup, SPAN(w->hosts.s, w->hosts.n)) == 0;
	} else {
		return nonsense("resolver server, search, ndots or hosts");
	}
	lookup_conf_parse(&w->conf, SPAN(file.s, file.n), NULL);
	lookup_conf_group(&w->conf, servers, &g);
	lookup_set_conf(w->lookup, &w->conf);
	return forwarder_set_group(w->forwarders[BY_SITE], w->now, 0, &g) == 0;
}
