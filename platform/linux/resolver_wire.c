#include "platform/linux/resolver_wire.h"

#include "core/base/cursor.h"
#include "core/base/err.h"

#include <ctype.h>
#include <string.h>

#define CLASS_IN 1u
#define FLAG_RD 0x0100u
#define FLAG_QR 0x8000u
#define OPCODE_MASK 0x7800u
#define RCODE_MASK 0x000fu
#define LABEL_MAX 63u

int dns_name_encode(const char *host, u8 out[static DNS_NAME_MAX])
{
	struct wr w = wr_init(out, DNS_NAME_MAX);
	const char *label = host;

	for (;;) {
		size_t n = strcspn(label, ".");
		if (n == 0 || n > LABEL_MAX)
			return ERR_INVAL;
		for (size_t i = 0; i < n; i++)
			if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_')
				return ERR_INVAL;
		wr_u8(&w, (u8)n);
		wr_bytes(&w, label, n);
		label += n;
		if (*label == '.')
			label++;
		if (*label == 0)
			break;
	}
	wr_u8(&w, 0);
	return wr_ok(&w) ? (int)wr_len(&w) : ERR_INVAL;
}

size_t dns_query_encode(u16 id, const u8 *name, size_t name_len, u16 type, u8 out[static DNS_QUERY_MAX])
{
	struct wr w = wr_init(out, DNS_QUERY_MAX);

	wr_be16(&w, id);
	wr_be16(&w, FLAG_RD);
	wr_be16(&w, 1);
	wr_zero(&w, 6);
	wr_bytes(&w, name, name_len);
	wr_be16(&w, type);
	wr_be16(&w, CLASS_IN);
	return wr_len(&w);
}

/* A name's labels or the pointer that ends it; where it leads does not matter here. */
static void skip_name(struct rd *r)
{
	while (rd_ok(r)) {
		u8 n = rd_u8(r);
		if (n == 0)
			return;
		if (n >= 0xc0) {
			rd_skip(r, 1);
			return;
		}
		if (n > LABEL_MAX)
			r->failed = true;
		rd_skip(r, n);
	}
}

static bool same_name(struct span a, const u8 *b, size_t n)
{
	if (a.n != n)
		return false;
	for (size_t i = 0; i < n; i++) /* length bytes are below 64 and no letters */
		if (tolower(a.p[i]) != tolower(b[i]))
			return false;
	return true;
}

int dns_answer_decode(struct span msg, u16 id, const u8 *name, size_t name_len, u16 type, struct ip *out, size_t max, size_t *n)
{
	struct rd r = rd_span(msg);
	u16 msg_id = rd_be16(&r), flags = rd_be16(&r), questions = rd_be16(&r), answers = rd_be16(&r);

	rd_skip(&r, 4);
	if (!rd_ok(&r))
		return ERR_MALFORMED;
	if (msg_id != id || !(flags & FLAG_QR) || flags & OPCODE_MASK || questions != 1)
		return ERR_NOT_OURS;
	struct span asked = rd_bytes(&r, name_len);
	u16 asked_type = rd_be16(&r), asked_class = rd_be16(&r);
	if (!rd_ok(&r))
		return ERR_MALFORMED;
	if (!same_name(asked, name, name_len) || asked_type != type || asked_class != CLASS_IN)
		return ERR_NOT_OURS;
	if (flags & RCODE_MASK)
		return 0;
	for (u16 i = 0; i < answers && *n < max; i++) {
		skip_name(&r);
		u16 rtype = rd_be16(&r), rclass = rd_be16(&r);
		rd_skip(&r, 4);
		struct span data = rd_bytes(&r, rd_be16(&r));
		if (!rd_ok(&r))
			break; /* cut short: what came before counts */
		if (rtype != type || rclass != CLASS_IN || data.n != (type == DNS_TYPE_A ? 4u : 16u))
			continue;
		struct ip ip = ip_from_bytes(type == DNS_TYPE_A ? 4 : 6, data.p);
		bool is_known = false;
		for (size_t k = 0; k < *n; k++)
			is_known |= ip_eq(&out[k], &ip);
		if (!is_known)
			out[(*n)++] = ip;
	}
	return 0;
}
