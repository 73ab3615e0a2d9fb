#include "core/dns/name.h"

#define POINTER_MARK 0xc0u
#define JUMPS_MAX DNS_LABELS_MAX /* pointers that lead to pointers cost work without making the name longer */

/* Length octets are below 64, letters are not: whole names may be folded octet by octet. */
static inline u8 fold(u8 c)
{
	return (u8)(c - 'A') < 26 ? c | 0x20 : c;
}

int dns_name_read(struct rd *r, struct span message, struct dns_name *out)
{
	struct rd at = *r;
	unsigned len = 0, jumps = 0;
	size_t limit = (size_t)(r->p - message.p); /* a pointer leads to below this */

	out->len = 0;
	for (;;) {
		u8 n = rd_u8(&at);
		if ((n & POINTER_MARK) == POINTER_MARK) {
			size_t to = (size_t)(n & ~POINTER_MARK) << 8 | rd_u8(&at);
			if (!rd_ok(&at) || to >= limit || to < DNS_NAME_FIRST || ++jumps > JUMPS_MAX)
				return ERR_MALFORMED;
			if (jumps == 1)
				r->p = at.p;
			/* What lies between must end before the place we come from, or the walk would meet itself. */
			at = rd_init(message.p + to, limit - to);
			limit = to;
			continue;
		}
		const u8 *label = rd_take(&at, n);
		if (!label || n > DNS_LABEL_MAX || len + n + 1 > DNS_NAME_MAX)
			return ERR_MALFORMED;
		out->wire[len++] = n;
		memcpy(out->wire + len, label, n);
		len += n;
		if (n == 0)
			break;
	}
	if (jumps == 0)
		r->p = at.p;
	out->len = (u8)len;
	return 0;
}

/* One octet of a label; NULL when the text is not acceptable there. */
static const char *octet_from_text(const char *s, u8 *out)
{
	if (*s != '\\') {
		*out = (u8)*s;
		return s + 1;
	}
	if (s[1] < '0' || s[1] > '9') {
		*out = (u8)s[1];
		return s[1] ? s + 2 : NULL;
	}
	unsigned v = 0;
	for (int i = 1; i <= 3; i++) {
		if (s[i] < '0' || s[i] > '9')
			return NULL;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	*out = (u8)v;
	return v <= 255 ? s + 4 : NULL;
}

int dns_name_from_text(const char *text, struct dns_name *out)
{
	unsigned start = 0, len = 1; /* of the label's length octet; of everything */

	out->len = 0;
	if (text[0] == '.' && text[1] == 0) {
		out->wire[0] = 0;
		out->len = 1;
		return 0;
	}
	for (const char *s = text;;) {
		if (*s == '.' || *s == 0) {
			if (len - start - 1 == 0 || len - start - 1 > DNS_LABEL_MAX || len >= DNS_NAME_MAX)
				return ERR_INVAL;
			out->wire[start] = (u8)(len - start - 1);
			start = len++;
			if (*s == 0 || s[1] == 0)
				break;
			s++;
			continue;
		}
		if (len >= DNS_NAME_MAX || !(s = octet_from_text(s, &out->wire[len])))
			return ERR_INVAL;
		len++;
	}
	out->wire[start] = 0;
	out->len = (u8)len;
	return 0;
}

static char *octet_to_text(char *t, u8 c)
{
	if (c > 0x20 && c < 0x7f && c != '.' && c != '\\') {
		*t++ = (char)c;
		return t;
	}
	*t++ = '\\';
	if (c >= 0x20 && c < 0x7f) {
		*t++ = (char)c;
		return t;
	}
	*t++ = (char)('0' + c / 100);
	*t++ = (char)('0' + c / 10 % 10);
	*t++ = (char)('0' + c % 10);
	return t;
}

char *dns_name_text(const struct dns_name *n, char buf[static DNS_NAME_STRLEN])
{
	char *t = buf;

	if (n->len <= 1)
		*t++ = '.';
	for (unsigned at = 0; at < n->len && n->wire[at] != 0;) {
		if (at > 0)
			*t++ = '.';
		for (unsigned left = n->wire[at++]; left > 0; left--)
			t = octet_to_text(t, n->wire[at++]);
	}
	*t = 0;
	return buf;
}

/* fold() of eight octets: bit 7 of each tells whether it is a capital, moved down it becomes the bit that makes it small. */
static inline u64 fold8(u64 v)
{
	const u64 ones = 0x0101010101010101ull, low = v & 0x7f * ones;
	u64 above_z = low + (0x7f - 'Z') * ones, from_a = low + (0x80 - 'A') * ones;

	return v | (~v & (from_a ^ above_z) & 0x80 * ones) >> 2;
}

bool dns_octets_eq(const u8 *a, const u8 *b, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		if (fold8(get_le64(a + i)) != fold8(get_le64(b + i)))
			return false;
	for (; i < n; i++)
		if (fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

void dns_octets_fold(u8 *out, const u8 *in, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		put_le64(out + i, fold8(get_le64(in + i)));
	for (; i < n; i++)
		out[i] = fold(in[i]);
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && dns_octets_eq(a->wire, b->wire, a->len);
}

void dns_name_fold(struct dns_name *n)
{
	dns_octets_fold(n->wire, n->wire, n->len);
	memset(n->wire + n->len, 0, DNS_NAME_MAX - n->len);
}

bool dns_name_is_under(const struct dns_name *n, const struct dns_name *parent)
{
	unsigned at = 0;

	if (parent->len == 0)
		return false;
	while (n->len > at && n->len - at > parent->len)
		at += n->wire[at] + 1u;
	return n->len - at == parent->len && dns_octets_eq(n->wire + at, parent->wire, parent->len);
}

unsigned dns_name_labels(const struct dns_name *n)
{
	unsigned labels = 0;

	for (unsigned at = 0; at < n->len && n->wire[at] != 0; at += n->wire[at] + 1u)
		labels++;
	return labels;
}

int dns_name_append(struct dns_name *n, const struct dns_name *suffix)
{
	if (n->len == 0 || n->len - 1u + suffix->len > DNS_NAME_MAX)
		return ERR_LIMIT;
	memcpy(n->wire + n->len - 1, suffix->wire, suffix->len);
	n->len = (u8)(n->len - 1u + suffix->len);
	return 0;
}

/* --- reverse names --- */

static const u8 in_addr_arpa[] = "\7in-addr\4arpa";
static const u8 ip6_arpa[] = "\3ip6\4arpa";

static bool decimal(const u8 *label, u8 *out)
{
	unsigned n = label[0], v = 0;

	if (n < 1 || n > 3 || (n > 1 && label[1] == '0'))
		return false;
	for (unsigned i = 1; i <= n; i++) {
		if (label[i] < '0' || label[i] > '9')
			return false;
		v = v * 10 + label[i] - '0';
	}
	*out = (u8)v;
	return v <= 255;
}

static int nibble(u8 c)
{
	c = fold(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool dns_name_reverse(const struct dns_name *n, struct ip *out)
{
	struct ip ip = { 0 };
	const u8 *p = n->wire;
	unsigned labels = dns_name_labels(n);

	if (labels == 6) {
		for (int i = 3; i >= 0; i--, p += *p + 1u)
			if (!decimal(p, &ip.b[i]))
				return false;
		ip.family = 4;
		if ((size_t)(n->wire + n->len - p) != sizeof(in_addr_arpa) || !dns_octets_eq(p, in_addr_arpa, sizeof(in_addr_arpa)))
			return false;
	} else if (labels == 34) {
		for (int i = 31; i >= 0; i--, p += 2) {
			int v = p[0] == 1 ? nibble(p[1]) : -1;
			if (v < 0)
				return false;
			ip.b[i / 2] |= (u8)(i % 2 ? v : v << 4);
		}
		ip.family = 6;
		if ((size_t)(n->wire + n->len - p) != sizeof(ip6_arpa) || !dns_octets_eq(p, ip6_arpa, sizeof(ip6_arpa)))
			return false;
	} else {
		return false;
	}
	*out = ip;
	return true;
}

void dns_name_of_ip(const struct ip *ip, struct dns_name *out)
{
	static const char hex[] = "0123456789abcdef";
	struct wr w = wr_init(out->wire, sizeof(out->wire));

	if (ip->family == 4) {
		for (int i = 3; i >= 0; i--) {
			u8 v = ip->b[i];
			wr_u8(&w, (u8)(1 + (v >= 10) + (v >= 100)));
			if (v >= 100)
				wr_u8(&w, (u8)('0' + v / 100));
			if (v >= 10)
				wr_u8(&w, (u8)('0' + v / 10 % 10));
			wr_u8(&w, (u8)('0' + v % 10));
		}
		wr_bytes(&w, in_addr_arpa, sizeof(in_addr_arpa));
	} else {
		for (int i = 15; i >= 0; i--) {
			wr_u8(&w, 1);
			wr_u8(&w, (u8)hex[ip->b[i] & 15]);
			wr_u8(&w, 1);
			wr_u8(&w, (u8)hex[ip->b[i] >> 4]);
		}
		wr_bytes(&w, ip6_arpa, sizeof(ip6_arpa));
	}
	out->len = (u8)wr_len(&w);
}
