/* What we read out of certificates ourselves (DER, RFC 5280): a trust anchor's name and key, and the addresses BearSSL does not look at. */
#include "core/base/cursor.h"
#include "core/http/tls_int.h"

#include <string.h>

/* The content of the next DER element when its tag is `tag`; otherwise, and at the end, an empty span. *skipped_tag tells its tag. */
static struct span der_next(struct rd *r, u8 *tag)
{
	*tag = rd_u8(r);
	size_t len = rd_u8(r);

	if (len & 0x80) {
		size_t bytes = len & 0x7f;
		len = 0;
		if (bytes == 0 || bytes > 3)
			r->failed = true;
		for (size_t i = 0; i < bytes && rd_ok(r); i++)
			len = len << 8 | rd_u8(r);
	}
	return rd_bytes(r, len);
}

static struct span der_enter(struct rd *r, u8 want)
{
	u8 tag;
	struct span s = der_next(r, &tag);

	if (tag != want)
		r->failed = true;
	return rd_ok(r) ? s : SPAN_NONE;
}

static bool names_have_ip(struct span names, struct span address)
{
	struct rd r = rd_span(names);

	while (rd_left(&r) > 0) {
		u8 tag;
		struct span s = der_next(&r, &tag);
		if (!rd_ok(&r))
			return false;
		if (tag == 0x87 && s.n == address.n && memcmp(s.p, address.p, s.n) == 0) /* [7] iPAddress */
			return true;
	}
	return false;
}

static bool extensions_have_ip(struct span list, struct span address)
{
	static const u8 subject_alt_name[] = { 0x55, 0x1d, 0x11 };
	struct rd r = rd_span(list);

	while (rd_left(&r) > 0) {
		struct rd ext = rd_span(der_enter(&r, 0x30));
		if (!rd_ok(&r))
			return false;
		struct span oid = der_enter(&ext, 0x06);
		if (oid.n != sizeof(subject_alt_name) || memcmp(oid.p, subject_alt_name, oid.n) != 0)
			continue;
		u8 tag;
		struct span value = der_next(&ext, &tag);
		if (tag == 0x01) /* critical */
			value = der_next(&ext, &tag);
		if (tag != 0x04 || !rd_ok(&ext))
			return false;
		struct rd octets = rd_span(value);
		return names_have_ip(der_enter(&octets, 0x30), address);
	}
	return false;
}

bool tls_cert_has_ip(struct span der, struct span address)
{
	struct rd whole = rd_span(der);
	struct rd cert = rd_span(der_enter(&whole, 0x30));
	struct rd tbs = rd_span(der_enter(&cert, 0x30));

	while (rd_ok(&tbs) && rd_left(&tbs) > 0) {
		u8 tag;
		struct span s = der_next(&tbs, &tag);
		if (tag != 0xa3 || !rd_ok(&tbs)) /* [3] extensions */
			continue;
		struct rd wrapped = rd_span(s);
		return extensions_have_ip(der_enter(&wrapped, 0x30), address);
	}
	return false;
}

/* --- trust anchors ------------------------------------------------------------------------------------------------------------------ */

static bool is_oid(struct span s, const void *oid, size_t n)
{
	return s.n == n && memcmp(s.p, oid, n) == 0;
}

static struct span without_zeros(struct span s)
{
	while (s.n > 0 && *s.p == 0)
		s = SPAN(s.p + 1, s.n - 1);
	return s;
}

/* The bytes of a BIT STRING without unused bits. */
static struct span enter_bits(struct rd *r)
{
	struct span s = der_enter(r, 0x03);

	if (s.n < 2 || s.p[0] != 0)
		r->failed = true;
	return rd_ok(r) ? SPAN(s.p + 1, s.n - 1) : SPAN_NONE;
}

static void parse_rsa(struct rd *spki, struct tls_cert *out)
{
	struct rd bits = rd_span(enter_bits(spki));
	struct rd key = rd_span(der_enter(&bits, 0x30));

	out->rsa_n = without_zeros(der_enter(&key, 0x02));
	out->rsa_e = without_zeros(der_enter(&key, 0x02));
	if (!rd_ok(&bits) || !rd_done(&key) || out->rsa_n.n == 0 || out->rsa_e.n == 0 || out->rsa_n.n > TLS_RSA_BYTES_MAX)
		spki->failed = true;
}

static void parse_ec(struct rd *spki, struct span curve, struct tls_cert *out)
{
	static const struct { u8 oid[8]; u8 n; int curve; u8 coordinate; } curves[] = {
		{ { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }, 8, BR_EC_secp256r1, 32 },
		{ { 0x2b, 0x81, 0x04, 0x00, 0x22 }, 5, BR_EC_secp384r1, 48 },
		{ { 0x2b, 0x81, 0x04, 0x00, 0x23 }, 5, BR_EC_secp521r1, 66 },
	};

	out->ec_q = enter_bits(spki);
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (is_oid(curve, curves[i].oid, curves[i].n) && out->ec_q.n == 1u + 2u * curves[i].coordinate) {
			out->ec_curve = curves[i].curve;
			return;
		}
	}
	spki->failed = true;
}

static bool parse_key(struct span spki_value, struct tls_cert *out)
{
	static const u8 rsa[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01 }, ec[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01 };
	struct rd spki = rd_span(spki_value);
	struct rd algorithm = rd_span(der_enter(&spki, 0x30));
	struct span oid = der_enter(&algorithm, 0x06);

	if (rd_ok(&algorithm) && is_oid(oid, rsa, sizeof(rsa)))
		parse_rsa(&spki, out);
	else if (rd_ok(&algorithm) && is_oid(oid, ec, sizeof(ec)))
		parse_ec(&spki, der_enter(&algorithm, 0x06), out);
	else
		return false;
	return rd_ok(&spki);
}

/* basicConstraints with cA true. */
static bool extensions_say_ca(struct span list)
{
	static const u8 basic_constraints[] = { 0x55, 0x1d, 0x13 };
	struct rd r = rd_span(list);

	while (rd_left(&r) > 0) {
		struct rd ext = rd_span(der_enter(&r, 0x30));
		struct span oid = der_enter(&ext, 0x06);
		u8 tag;
		if (!rd_ok(&r) || !is_oid(oid, basic_constraints, sizeof(basic_constraints))) {
			if (!rd_ok(&r))
				return false;
			continue;
		}
		struct span value = der_next(&ext, &tag);
		if (tag == 0x01) /* critical */
			value = der_next(&ext, &tag);
		struct rd octets = rd_span(tag == 0x04 && rd_ok(&ext) ? value : SPAN_NONE);
		struct rd constraints = rd_span(der_enter(&octets, 0x30));
		struct span is_ca = der_enter(&constraints, 0x01);
		return rd_ok(&constraints) && is_ca.n == 1 && is_ca.p[0] != 0;
	}
	return false;
}

bool tls_cert_parse(struct span der, struct tls_cert *out)
{
	struct rd whole = rd_span(der);
	struct rd cert = rd_span(der_enter(&whole, 0x30));
	struct rd tbs = rd_span(der_enter(&cert, 0x30));
	u8 tag;

	memset(out, 0, sizeof(*out));
	(void)der_next(&tbs, &tag);
	if (tag == 0xa0) /* explicit version: the serial number comes behind it */
		(void)der_next(&tbs, &tag);
	(void)der_enter(&tbs, 0x30); /* signature algorithm */
	(void)der_enter(&tbs, 0x30); /* issuer */
	(void)der_enter(&tbs, 0x30); /* validity */
	const u8 *subject = tbs.p;
	(void)der_enter(&tbs, 0x30);
	if (!rd_ok(&tbs))
		return false;
	out->subject = SPAN(subject, (size_t)(tbs.p - subject));
	if (!parse_key(der_enter(&tbs, 0x30), out))
		return false;
	while (rd_ok(&tbs) && rd_left(&tbs) > 0) {
		struct span s = der_next(&tbs, &tag);
		struct rd wrapped = rd_span(s);
		if (tag == 0xa3 && rd_ok(&tbs))
			out->is_ca = extensions_say_ca(der_enter(&wrapped, 0x30));
	}
	return rd_ok(&tbs);
}
