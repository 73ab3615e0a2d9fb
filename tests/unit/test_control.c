/* Control messages between peers, byte for byte (spec 30 §7.1, spec 40 §9.1). */
#include "core/tunnel/control.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

static u8 buf[TUNNEL_MTU + 64];
static struct packet p;

static struct dns_name name_of(const char *text)
{
	struct dns_name n = { 0 };
	EXPECT_EQ(dns_name_from_text(text, &n), 0);
	return n;
}

static struct control_assigned assigned(const char *domain, unsigned n4, unsigned n6)
{
	struct control_assigned m = { .resource = uuid_of(0x65), .domain = name_of(domain) };
	for (unsigned i = 0; i < n4 + n6; i++) {
		m.proxies[i] = ip_of(i < n4 ? "100.96.0.0" : "fd00:2021:1111:8000::");
		m.proxies[i].b[i < n4 ? 3 : 15] = (u8)(i < n4 ? i + 1 : i - n4);
	}
	m.n_proxies = n4 + n6;
	return m;
}

/* A control packet with this body; what the parser of packets says of it lands in `p`. */
static u32 make(u8 event, const char *body)
{
	size_t n = strlen(body);
	memset(buf, 0, 48);
	buf[0] = 0x60;
	put_be16(buf + 4, (u16)(8 + n));
	buf[6] = 0xff;
	buf[40] = event;
	memcpy(buf + 48, body, n);
	EXPECT_EQ(packet_parse(buf, 48 + n, TUNNEL_MTU, &p), 0);
	return (u32)(48 + n);
}

TEST(spec30_30_spec40_40_assigned_ips_byte_for_byte)
{
	static const char body[] = "{\"resource\":\"00000000-0000-0000-0000-000000000065\",\"domain\":\"app.example.com\",\"proxy_ips\":["
				   "\"100.96.0.1\",\"100.96.0.2\",\"fd00:2021:1111:8000::\",\"fd00:2021:1111:8000::1\"]}";
	struct control_assigned m = assigned("app.example.com", 2, 2), back;
	u8 out[TUNNEL_MTU];
	u32 len = control_write_assigned(&m, out);

	REQUIRE(EXPECT_EQ(len, make(0, body)));
	EXPECT_MEM(out, buf, len);
	EXPECT(packet_is_control(&p));
	EXPECT_EQ(control_event(out), CONTROL_ASSIGNED_IPS);
	EXPECT_EQ(control_read_assigned(out, &p, &back), 0);
	EXPECT_EQ(back.n_proxies, 4);
	EXPECT_MEM(back.proxies, m.proxies, 4 * sizeof(struct ip));
	EXPECT(uuid_eq(&back.resource, &m.resource) && dns_name_eq(&back.domain, &m.domain));
}

TEST(spec40_40_domain_status_byte_for_byte)
{
	u8 out[TUNNEL_MTU];
	for (unsigned i = 0; i < 2; i++) {
		struct control_status m = { .resource = uuid_of(0x65), .domain = name_of("example.com"), .is_active = i }, back;
		u32 len = control_write_status(&m, out);
		REQUIRE(EXPECT_EQ(len, make(1, i ? "{\"resource\":\"00000000-0000-0000-0000-000000000065\",\"domain\":\"example.com\","
						   "\"status\":\"Active\"}" :
						   "{\"resource\":\"00000000-0000-0000-0000-000000000065\",\"domain\":\"example.com\","
						   "\"status\":\"Inactive\"}")));
		EXPECT_MEM(out, buf, len);
		EXPECT_EQ(control_read_status(out, &p, &back), 0);
		EXPECT_EQ(back.is_active, i);
		EXPECT(dns_name_eq(&back.domain, &m.domain));
	}
}

TEST(the_longest_message_of_the_reference_has_402_bytes_of_json)
{
	struct control_assigned m = assigned("a.com", 4, 4);
	char domain[260] = "";
	u8 out[TUNNEL_MTU];

	for (unsigned i = 0; i < 5; i++) {
		memset(domain + i * 50, 'a', 49);
		domain[i * 50 + 49] = '.';
	}
	memcpy(domain + 250, "com", 4);
	m.domain = name_of(domain);
	for (unsigned i = 0; i < 8; i++) /* the addresses of that test of theirs */
		m.proxies[i] = ip_of(i < 4 ? "127.0.0.1" : "::1");
	u32 len = control_write_assigned(&m, out);
	EXPECT_EQ(len, 48 + 402);
}

TEST(names_are_escaped_as_text_and_then_as_json)
{
	struct control_status m = { .resource = uuid_of(1), .is_active = true }, back;
	static const u8 wire[] = { 7, 'a', '"', '.', '\\', ' ', 0xe4, 1, 2, 'd', 'e', 0 };
	u8 out[TUNNEL_MTU];

	m.domain.len = sizeof(wire);
	memcpy(m.domain.wire, wire, sizeof(wire));
	u32 len = control_write_status(&m, out);
	static const char want[] = "\"domain\":\"a\\\"\\\\.\\\\\\\\\\\\ \\\\228\\\\001.de\"";
	EXPECT(memmem(out, len, want, sizeof(want) - 1) != NULL);
	EXPECT_EQ(packet_parse(out, len, TUNNEL_MTU, &p), 0);
	EXPECT_EQ(control_read_status(out, &p, &back), 0);
	EXPECT_EQ(back.domain.len, sizeof(wire));
	EXPECT_MEM(back.domain.wire, wire, sizeof(wire));
}

TEST(a_name_too_long_for_a_packet_is_not_written)
{
	struct control_assigned m = assigned("a", 4, 4);
	u8 out[TUNNEL_MTU];
	u8 *w = m.domain.wire;

	m.domain.len = 255;
	for (unsigned i = 0; i < 254; i++)
		w[i] = i % 64 ? 0xff : 63;
	w[192] = 61;
	w[254] = 0;
	EXPECT_EQ(control_write_assigned(&m, out), 0); /* each octet costs five bytes */
}

TEST(read_in_any_order_with_members_of_the_future)
{
	struct control_assigned a;
	struct control_status s;

	(void)make(0, " {\"proxy_ips\" : [\"100.96.0.9\"], \"new\":{\"x\":[1]}, \"domain\":\"A.b\", \"resource\":\"00000000-0000-0000-0000-000000000007\"} ");
	EXPECT_EQ(control_read_assigned(buf, &p, &a), 0);
	EXPECT_EQ(a.n_proxies, 1);
	EXPECT_EQ(a.resource.b[15], 7);
	(void)make(1, "{\"resource\":\"00000000-0000-0000-0000-000000000065\",\"domain\":\"example.com\",\"status\":\"what_is_this\"}");
	EXPECT_EQ(control_read_status(buf, &p, &s), 0);
	EXPECT(!s.is_active);
	buf[41] = buf[47] = 0xaa; /* reserved */
	EXPECT_EQ(packet_parse(buf, p.len, TUNNEL_MTU, &p), 0);
	EXPECT(packet_is_control(&p));
	EXPECT_EQ(control_read_status(buf, &p, &s), 0);
}

TEST(what_cannot_be_read_is_refused)
{
#define ID "\"resource\":\"00000000-0000-0000-0000-000000000065\""
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"{" ID "}",
		"{" ID ",\"domain\":\"a.b\"}",
		"{" ID ",\"domain\":\"a.b\",\"proxy_ips\":{}}",
		"{" ID ",\"domain\":\"a.b\",\"proxy_ips\":[1]}",
		"{" ID ",\"domain\":\"a.b\",\"proxy_ips\":[\"100.96.0\"]}",
		"{" ID ",\"domain\":\"a..b\",\"proxy_ips\":[]}",
		"{" ID ",\"domain\":7,\"proxy_ips\":[]}",
		"{\"resource\":\"x\",\"domain\":\"a.b\",\"proxy_ips\":[]}",
		"{" ID "," ID ",\"domain\":\"a.b\",\"proxy_ips\":[]}",
		"{" ID ",\"domain\":\"a.b\",\"proxy_ips\":[]}x",
	};
	struct control_assigned a;
	struct control_status s;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		(void)make(0, bad[i]);
		EXPECT_EQ(control_read_assigned(buf, &p, &a), ERR_MALFORMED);
		EXPECT_EQ(control_read_status(buf, &p, &s), ERR_MALFORMED);
	}
	char many[1232] = "{" ID ",\"domain\":\"a.b\",\"proxy_ips\":[\"100.96.0.1\"";
	for (unsigned i = 0; i < CONTROL_PROXIES_MAX; i++)
		memcpy(many + strlen(many), ",\"100.96.0.1\"", sizeof(",\"100.96.0.1\""));
	memcpy(many + strlen(many), "]}", 3);
	(void)make(0, many);
	EXPECT_EQ(control_read_assigned(buf, &p, &a), ERR_LIMIT);
}

TEST(spec30_31_padding_behind_the_packet_is_not_read)
{
	struct control_status s;
	u32 len = make(1, "{" ID ",\"domain\":\"example.com\",\"status\":\"Active\"}");

	memset(buf + len, 0, 16);
	EXPECT_EQ(packet_parse(buf, len + 16, TUNNEL_MTU, &p), 0);
	EXPECT_EQ(p.len, len);
	EXPECT_EQ(control_read_status(buf, &p, &s), 0);
	EXPECT(s.is_active);
}
