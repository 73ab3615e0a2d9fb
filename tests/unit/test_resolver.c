/* The bootstrap resolver: its files, its messages, and look-ups against servers on loopback that behave well and badly. */
#include "core/base/cursor.h"
#include "core/base/err.h"
#include "platform/linux/resolver_wire.h"
#include "platform/resolver.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct span text(const char *s)
{
	return SPAN(s, strlen(s));
}

TEST(resolv_conf_gives_its_servers_in_order_without_zones)
{
	static const char conf[] = "# nameserver 9.9.9.9\nsearch x\n nameserver\t192.0.2.1 # first\nnameserver fe80::1%eth0\n"
				   "nameserver 192.0.2.1\nnameservers 8.8.8.8\nnameserver bogus\nnameserver 2001:db8::53";
	struct ip ip[8];
	char buf[IP_STRLEN];

	REQUIRE(resolver_parse_conf(text(conf), ip, 8) == 3);
	EXPECT_STR(ip_format(&ip[0], buf), "192.0.2.1");
	EXPECT_STR(ip_format(&ip[1], buf), "fe80::1");
	EXPECT_STR(ip_format(&ip[2], buf), "2001:db8::53");
	EXPECT_EQ(resolver_parse_conf(text(conf), ip, 1), 1);
	EXPECT_EQ(resolver_parse_conf(text(""), ip, 8), 0);
}

TEST(hosts_file_matches_whole_names_of_any_case)
{
	static const char hosts[] = "127.0.0.1 localhost\n192.0.2.7\tPortal.Example portal # x\n2001:db8::7 portal.example\n192.0.2.8 portal.example.org\n";
	struct ip ip[4];

	EXPECT_EQ(resolver_parse_hosts(text(hosts), "portal.example", ip, 4), 2);
	EXPECT_EQ(ip[1].family, 6);
	EXPECT_EQ(resolver_parse_hosts(text(hosts), "x", ip, 4), 0);
	EXPECT_EQ(resolver_parse_hosts(text(hosts), "portal", ip, 4), 1);
}

TEST(names_that_no_host_has_are_refused)
{
	static const char *const bad[] = { "", ".", "a..b", ".a", "a b", "-\x80",
					   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x" };
	u8 name[DNS_NAME_MAX];

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(dns_name_encode(bad[i], name), ERR_INVAL);
	EXPECT_EQ(dns_name_encode("a.example.", name), 11);
	EXPECT_MEM(name, "\1a\7example", 11);
}

/* --- a name server on loopback ------------------------------------------------------------------------------------------------- */

static int server_fd;
static u16 server_port;
static struct resolver *resolver;
static struct rng_seeded rng;
static char conf_path[] = "/tmp/emberbox-resolv-XXXXXX";

static void start(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);

	strcpy(conf_path, "/tmp/emberbox-resolv-XXXXXX");
	int fd = mkstemp(conf_path);
	EXPECT(fd >= 0 && write(fd, "nameserver 127.0.0.1\n", 21) == 21);
	close(fd);
	server_fd = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT_EQ(bind(server_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	getsockname(server_fd, (struct sockaddr *)&sa, &len);
	server_port = ntohs(sa.sin_port);
	rng_seeded_init(&rng, 3);
	resolver = resolver_new(&(struct resolver_config){ .rng = &rng.rng, .resolv_conf = conf_path, .hosts = "/dev/null", .port = server_port });
}

static void end(void)
{
	resolver_free(resolver);
	close(server_fd);
	unlink(conf_path);
}

enum manner { HONEST, WRONG_ID, WRONG_QUESTION, REFUSES };

/* Takes the next query and answers it; false when none comes. */
static bool serve(enum manner manner)
{
	u8 q[512], a[512];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct pollfd p = { .fd = server_fd, .events = POLLIN };

	if (poll(&p, 1, 10000) != 1)
		return false;
	ssize_t n = recvfrom(server_fd, q, sizeof(q), 0, (struct sockaddr *)&from, &len);
	if (n < 17)
		return false;
	bool is_v6 = q[n - 3] == DNS_TYPE_AAAA;
	struct wr w = wr_init(a, sizeof(a));
	wr_be16(&w, (u16)(get_be16(q) ^ (manner == WRONG_ID)));
	wr_be16(&w, manner == REFUSES ? 0x8185 : 0x8180);
	wr_be16(&w, 1);
	wr_be16(&w, manner == REFUSES ? 0 : 2);
	wr_zero(&w, 4);
	wr_bytes(&w, q + 12, (size_t)n - 12);
	if (manner == WRONG_QUESTION)
		a[13] ^= 1;
	wr_be16(&w, 0xc00c); /* a CNAME comes first, as in life */
	wr_be16(&w, 5);
	wr_be16(&w, 1);
	wr_be32(&w, 60);
	wr_be16(&w, 3);
	wr_bytes(&w, "\1x", 3);
	wr_be16(&w, 0xc00c);
	wr_be16(&w, is_v6 ? DNS_TYPE_AAAA : DNS_TYPE_A);
	wr_be16(&w, 1);
	wr_be32(&w, 60);
	wr_be16(&w, is_v6 ? 16 : 4);
	wr_bytes(&w, is_v6 ? (const u8 *)"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7" : (const u8 *)"\xc0\0\2\7", is_v6 ? 16 : 4);
	return sendto(server_fd, a, wr_len(&w), 0, (struct sockaddr *)&from, len) > 0;
}

static bool wait_readable(void)
{
	struct pollfd p = { .fd = resolver_fd(resolver), .events = POLLIN };

	return poll(&p, 1, 10000) == 1;
}

static u64 start_lookup(u64 now)
{
	u64 id = 0;

	EXPECT_EQ(resolver_start(resolver, now, "portal.example", &rng, &id), 0);
	return id;
}

TEST(both_families_of_one_server_end_a_look_up)
{
	struct resolver_answer a;

	start();
	u64 id = start_lookup(0);
	EXPECT(!resolver_poll(resolver, &a));
	EXPECT(serve(HONEST) && serve(HONEST));
	for (unsigned i = 0; i < 4 && !resolver_poll(resolver, &a); i++) {
		EXPECT(wait_readable());
		resolver_input(resolver, MSEC(1));
	}
	EXPECT_EQ(a.id, id);
	EXPECT(a.ctx == &rng);
	EXPECT_EQ(a.error, 0);
	EXPECT_EQ(a.count, 2);
	EXPECT_EQ(resolver_next_timeout(resolver), TIME_NEVER);
	end();
}

TEST(one_family_alone_is_taken_after_a_grace)
{
	struct resolver_answer a;

	start();
	start_lookup(0);
	EXPECT(serve(HONEST));
	EXPECT(wait_readable());
	resolver_input(resolver, MSEC(10));
	EXPECT(!resolver_poll(resolver, &a));
	EXPECT_EQ(resolver_next_timeout(resolver), MSEC(10) + RESOLVER_GRACE);
	resolver_timeout(resolver, MSEC(10) + RESOLVER_GRACE);
	EXPECT(resolver_poll(resolver, &a));
	EXPECT_EQ(a.count, 1);
	end();
}

TEST(lies_are_ignored_and_silence_is_a_timeout)
{
	struct resolver_answer a;

	start();
	start_lookup(0);
	EXPECT(serve(WRONG_ID) && serve(WRONG_QUESTION));
	EXPECT(wait_readable());
	resolver_input(resolver, MSEC(1));
	EXPECT(!resolver_poll(resolver, &a));
	EXPECT_EQ(resolver_next_timeout(resolver), RESOLVER_RESEND);
	resolver_timeout(resolver, RESOLVER_RESEND);
	EXPECT(serve(WRONG_ID) && serve(WRONG_ID)); /* asked again once */
	resolver_timeout(resolver, RESOLVER_TIMEOUT);
	EXPECT(resolver_poll(resolver, &a));
	EXPECT_EQ(a.error, ERR_TIMEOUT);
	EXPECT_EQ(a.count, 0);
	end();
}

TEST(refusal_is_an_answer)
{
	struct resolver_answer a;

	start();
	start_lookup(0);
	EXPECT(serve(REFUSES) && serve(REFUSES));
	for (unsigned i = 0; i < 4 && !resolver_poll(resolver, &a); i++) {
		EXPECT(wait_readable());
		resolver_input(resolver, MSEC(1));
	}
	EXPECT_EQ(a.error, ERR_NOT_FOUND);
	end();
}

TEST(literals_and_configured_servers_need_no_file)
{
	struct resolver_answer a;
	struct ip server = ip4(127, 0, 0, 1);
	u64 id;

	start();
	unlink(conf_path);
	EXPECT_EQ(resolver_start(resolver, 0, "2001:db8::5", NULL, &id), 0);
	EXPECT(resolver_poll(resolver, &a));
	EXPECT_EQ(a.count, 1);
	EXPECT_EQ(resolver_start(resolver, 0, "portal.example", NULL, &id), 0);
	EXPECT(resolver_poll(resolver, &a));
	EXPECT_EQ(a.error, ERR_UNSUPPORTED);
	EXPECT_EQ(resolver_start(resolver, 0, "bad name", NULL, &id), ERR_INVAL);
	resolver_set_servers(resolver, &server, 1);
	start_lookup(0);
	EXPECT(serve(HONEST) && serve(HONEST));
	end();
}

TEST(cancelled_look_ups_never_answer_and_free_their_place)
{
	struct resolver_answer a;
	u64 id;

	start();
	for (unsigned i = 0; i < 3 * RESOLVER_LOOKUPS_MAX; i++)
		resolver_cancel(resolver, start_lookup(0));
	EXPECT_EQ(resolver_next_timeout(resolver), TIME_NEVER);
	for (unsigned i = 0; i < RESOLVER_LOOKUPS_MAX; i++)
		start_lookup(0);
	EXPECT_EQ(resolver_start(resolver, 0, "portal.example", NULL, &id), ERR_LIMIT);
	EXPECT(!resolver_poll(resolver, &a));
	end();
}
