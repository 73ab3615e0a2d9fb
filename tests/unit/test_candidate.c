/* Candidates: priorities and text. */
#include "core/ice/candidate.h"
#include "tests/unit/test.h"

static struct endpoint ep(const char *s)
{
	struct endpoint e = { 0 };
	EXPECT_EQ(endpoint_parse(SPAN(s, strlen(s)), &e), 0);
	return e;
}

static u32 priority_of(struct candidate c, unsigned n)
{
	return candidate_priority(&c, n);
}

TEST(spec20_23_priorities_of_the_table)
{
	struct endpoint v4 = ep("192.168.1.20:52625"), v6 = ep("[2001:db8::1]:52625");

	EXPECT_EQ(priority_of(candidate_host(&v6), 0), 2130706431);
	EXPECT_EQ(priority_of(candidate_host(&v4), 0), 2130706175);
	EXPECT_EQ(priority_of(candidate_host(&v4), 1), 2130705663);
	EXPECT_EQ(priority_of(candidate_srflx(&v6, &v6), 0), 1686110207);
	EXPECT_EQ(priority_of(candidate_srflx(&v4, &v4), 0), 1686109951);
	EXPECT_EQ(priority_of(candidate_relay(&v6, 6), 0), 37748735);
	EXPECT_EQ(priority_of(candidate_relay(&v4, 4), 0), 37748479);
	EXPECT_EQ(priority_of(candidate_relay(&v6, 4), 0), 37492735);
	EXPECT_EQ(priority_of(candidate_relay(&v4, 6), 0), 37492479);
	EXPECT_EQ(candidate_unranked(candidate_relay(&v6, 4)).priority, 50331647);
	EXPECT_EQ(candidate_unranked(candidate_relay(&v4, 4)).priority, 50331391);
	EXPECT_EQ(candidate_unranked(candidate_srflx(&v4, &v4)).priority, 1694498559);
	EXPECT_EQ(candidate_prflx_priority(2130706175), 1862270719);
}

TEST(spec20_18_candidate_text)
{
	struct endpoint v4 = ep("192.168.1.20:52625"), mapped = ep("203.0.113.7:40000"), v6 = ep("[2001:db8::1]:52625");
	struct candidate c = candidate_host(&v4);
	char buf[CANDIDATE_STRLEN];
	const char *tail;

	c.priority = candidate_priority(&c, 0);
	candidate_format(&c, "k3xd", buf);
	EXPECT(strncmp(buf, "candidate:", 10) == 0);
	tail = strchr(buf, ' ');
	REQUIRE(tail != NULL);
	EXPECT_STR(tail, " 1 udp 2130706175 192.168.1.20 52625 typ host ufrag k3xd");

	c = candidate_srflx(&mapped, &v4);
	c.priority = 1686109951;
	tail = strchr(candidate_format(&c, "k3xd", buf), ' ');
	EXPECT_STR(tail, " 1 udp 1686109951 203.0.113.7 40000 typ srflx raddr 0.0.0.0 rport 0 ufrag k3xd");

	c = candidate_unranked(candidate_relay(&v6, 6));
	tail = strchr(candidate_format(&c, NULL, buf), ' ');
	EXPECT_STR(tail, " 1 udp 50331647 2001:db8::1 52625 typ relay raddr :: rport 0");
}

static int parse(const char *s, struct candidate_text *t)
{
	return candidate_parse(SPAN(s, strlen(s)), t);
}

TEST(spec20_19_tolerant_reader)
{
	struct candidate_text t;

	EXPECT_EQ(parse("candidate:ff7ffe7e9c1d2a7b3c4d5e6f 1 udp 2130706175 192.168.1.20 52625 typ host ufrag k3xd", &t), 0);
	EXPECT_EQ(t.c.kind, CANDIDATE_HOST);
	EXPECT_EQ(t.c.addr.port, 52625);
	EXPECT_EQ(t.ufrag.n, 4);
	EXPECT_EQ(t.component, 1);
	EXPECT_EQ(t.c.raddr.ip.family, 0);
	EXPECT_EQ(parse("candidate:1 1 UDP 1 ::1 9 typ prflx generation 0 network-cost 10", &t), 0);
	EXPECT_EQ(t.c.kind, CANDIDATE_PRFLX);
	EXPECT_EQ(t.ufrag.n, 0);
	EXPECT_EQ(parse("candidate:1 1  udp\t1 10.0.0.1 9 typ relay raddr 0.0.0.0 rport 0", &t), 0);
	EXPECT_EQ(t.c.raddr.ip.family, 4);
	EXPECT_EQ(parse("candidate:1 1 udp 1 10.0.0.1 9 typ relay raddr 0.0.0.0", &t), 0);
	EXPECT_EQ(t.c.raddr.ip.family, 0);
	EXPECT_EQ(parse("candidate:1 2 tcp 1 10.0.0.1 9 typ host tcptype active", &t), 0);
	EXPECT(!t.is_udp);
	EXPECT_EQ(t.component, 2);

	static const char *const bad[] = {
		"",
		"candidate:",
		"a=candidate:1 1 udp 1 10.0.0.1 9 typ host",
		"candidate:1 1 udp 1 10.0.0.1 9 typ",
		"candidate:1 1 udp 1 10.0.0.1 9 type host",
		"candidate:1 1 udp 1 10.0.0.1 9 typ guest",
		"candidate:1 1 udp 4294967296 10.0.0.1 9 typ host",
		"candidate:1 1 udp 1 10.0.0.1 65536 typ host",
		"candidate:1 1 udp 1 host.example 9 typ host",
		"candidate:1 1 sctp 1 10.0.0.1 9 typ host",
		"candidate:1 70000 udp 1 10.0.0.1 9 typ host",
		"candidate:1 1 udp 1 10.0.0.1 9 typ host raddr",
		"candidate:1 1 udp 1 10.0.0.1 9 typ host rport x",
		"candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag",
		"candidate:1 1 udp 1 10.0.0.1 9 typ host tcptype maybe",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(parse(bad[i], &t), ERR_MALFORMED);
}

TEST(unusable_addresses_are_no_candidates)
{
	static const char *const bad[] = { "0.0.0.0:5", "224.0.0.1:5", "169.254.1.1:5", "255.255.255.255:5",
					   "[::]:5",    "[ff02::1]:5", "10.0.0.1:0" };
	struct endpoint e = ep("127.0.0.1:5"), v6 = ep("[fd00::1]:5");
	struct candidate c = candidate_host(&e);

	EXPECT(candidate_is_usable(&c));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct endpoint b = ep(bad[i]);
		c = candidate_host(&b);
		EXPECT(!candidate_is_usable(&c));
	}
	c = candidate_srflx(&e, &v6);
	EXPECT(!candidate_is_usable(&c));
}
