#include "applets/portal/model/forwarded.h"

static struct span trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* An address, also with port: v4:port, [v6], [v6]:port, and v6:port without brackets, which only the last colon tells. */
static bool parse_entry(struct span s, struct ip *out)
{
	struct endpoint ep;

	s = trim(s);
	if (ip_parse(s, out) == 0)
		return true;
	if (endpoint_parse(s, &ep) == 0) {
		*out = ep.ip;
		return true;
	}
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return ip_parse(SPAN(s.p + 1, s.n - 2), out) == 0;
	const u8 *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
	return colon && ip_parse(SPAN(s.p, (size_t)(colon - s.p)), out) == 0;
}

static bool is_in(const struct ip *ip, const struct cidr *list, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (cidr_contains(&list[i], ip))
			return true;
	return false;
}

bool forwarded_is_proxy(const struct forwarders *f, const struct ip *ip)
{
	return is_in(ip, f->proxies, f->n_proxies) && !is_in(ip, f->clients, f->n_clients);
}

struct ip forwarded_real_ip(struct ip hop, struct span header, const struct forwarders *f)
{
	struct ip before;

	while (header.p && forwarded_is_proxy(f, &hop)) {
		const u8 *comma = header.n ? memrchr(header.p, ',', header.n) : NULL;
		struct span last = comma ? SPAN(comma + 1, header.n - (size_t)(comma + 1 - header.p)) : header;

		if (!parse_entry(last, &before))
			break;
		hop = before;
		header = comma ? SPAN(header.p, (size_t)(comma - header.p)) : SPAN_NONE;
	}
	return hop;
}
