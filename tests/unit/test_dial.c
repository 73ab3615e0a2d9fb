/* Dialling over loopback: names from a hosts file, a name server that is silent, addresses that are not allowed, refuse or never answer. */
#include "applets/common/dial.h"
#include "core/base/err.h"
#include "platform/sys.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct ip loop4 = { .b = { 127, 0, 0, 1 }, .family = 4 };

static struct fixture {
	struct loop *loop;
	struct dialler *dialler;
	struct dial dial;
	struct endpoint at; /* somebody listens here */
	int listener;
	char hosts[64];
	u32 done;
	bool frees_all;
	struct dial_result result;
	const struct ip *refused;
} f;

static void on_done(void *ctx, const struct dial_result *r)
{
	(void)ctx;
	f.done++;
	f.result = *r;
	if (f.frees_all) {
		dialler_free(f.dialler);
		f.dialler = NULL;
		memset(&f.dial, 0xee, sizeof(f.dial));
	}
}

static bool refuses(void *ctx, const struct ip *ip)
{
	(void)ctx;
	return f.refused && (f.refused->family == 0 || ip_eq(ip, f.refused));
}

static void begin(const char *resolv_conf, u16 dns_port)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };

	memset(&f, 0, sizeof(f));
	f.loop = loop_new(&clock);
	f.listener = tcp_listen(&(struct endpoint){ loop4, 0 });
	REQUIRE(f.listener >= 0 && tcp_local(f.listener, &f.at) == 0);
	snprintf(f.hosts, sizeof(f.hosts), "/tmp/emberbox-test-dial-%d", (int)getpid());
	FILE *file = fopen(f.hosts, "w");
	REQUIRE(file != NULL);
	fputs("127.0.0.1 here.example\n127.0.0.9 two.example\n127.0.0.1 two.example\n", file);
	fclose(file);
	f.dialler = dialler_new(&(struct dialler_config){
		.loop = f.loop, .resolver = { .rng = sys_rng(), .resolv_conf = resolv_conf, .hosts = f.hosts, .port = dns_port } });
	REQUIRE(f.dialler != NULL);
}

static void end(void)
{
	if (f.dialler) {
		dial_cancel(&f.dial);
		dialler_free(f.dialler);
	}
	close(f.listener);
	loop_free(f.loop);
	unlink(f.hosts);
}

static void dial(const char *host, u16 port, u64 timeout)
{
	dial_start(f.dialler, &f.dial,
		   &(struct dial_request){ .host = host, .port = port, .race_timeout = timeout, .refuses = refuses, .done = on_done });
}

static bool is_done_within(u64 span)
{
	u64 until = sys_now() + span;
	u32 before = f.done;

	while (f.done == before && sys_now() < until)
		loop_turn(f.loop, until);
	return f.done == before + 1;
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* A port whose queue is full: who connects to it hears nothing. The descriptors fill it as long as they are open. */
static int deaf_port(struct endpoint *at, int fill[static 4])
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 0) || tcp_local(fd, at))
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		fill[i] = tcp_connect_start(at, 0);
		usleep(1000);
	}
	return fd;
}

TEST(a_literal_is_connected_to_and_told_from_the_loop)
{
	begin("/dev/null", 0);
	dial("127.0.0.1", f.at.port, SEC(5));
	EXPECT_EQ(f.done, 0);
	REQUIRE(is_done_within(SEC(5)));
	EXPECT_EQ(f.result.error, 0);
	EXPECT(f.result.fd >= 0 && ip_eq(&f.result.peer.ip, &loop4) && f.result.peer.port == f.at.port);
	close(f.result.fd);
	EXPECT(!is_done_within(MSEC(20)));
	end();
}

TEST(a_name_is_looked_up_and_the_address_that_answers_wins)
{
	begin("/dev/null", 0);
	dial("two.example", f.at.port, SEC(5));
	EXPECT_EQ(f.done, 0);
	REQUIRE(is_done_within(SEC(5)));
	EXPECT_EQ(f.result.error, 0);
	EXPECT(ip_eq(&f.result.peer.ip, &loop4));
	close(f.result.fd);
	dial("here.example", f.at.port, SEC(5)); /* once more, with the same memory */
	REQUIRE(is_done_within(SEC(5)));
	EXPECT_EQ(f.result.error, 0);
	close(f.result.fd);
	end();
}

TEST(what_is_no_name_and_what_nobody_knows)
{
	begin("/dev/null", 0);
	dial("a..b", 1, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT(f.result.error == ERR_INVAL && f.result.step == DIAL_NAME && f.result.fd == -1);
	EXPECT_STR(dial_reason(&f.result), "this is no host name");
	dial("elsewhere.example", 1, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT(f.result.error == ERR_UNSUPPORTED && f.result.step == DIAL_NAME);
	EXPECT_STR(dial_reason(&f.result), "no name server is configured");
	dialler_free(f.dialler);
	f.dialler = dialler_new(&(struct dialler_config){ .loop = f.loop, .needs_no_names = true });
	dial("here.example", 1, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT_EQ(f.result.error, ERR_UNSUPPORTED);
	end();
}

TEST(a_refused_connection_and_one_that_nobody_answers)
{
	int fill[4], deaf;
	struct endpoint at;

	begin("/dev/null", 0);
	close(f.listener);
	f.listener = -1;
	dial("here.example", f.at.port, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT(f.result.error == ERR_CLOSED && f.result.step == DIAL_RACE && f.result.fd == -1);
	EXPECT_STR(dial_reason(&f.result), "the connection is refused");
	REQUIRE((deaf = deaf_port(&at, fill)) >= 0);
	u64 began = sys_now();
	dial("127.0.0.1", at.port, MSEC(60));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT(f.result.error == ERR_TIMEOUT && f.result.step == DIAL_RACE && f.result.fd == -1);
	EXPECT(sys_now() - began >= MSEC(60));
	EXPECT_STR(dial_reason(&f.result), "the connection was not answered in time");
	for (unsigned i = 0; i < 4; i++)
		close(fill[i]);
	close(deaf);
	end();
}

TEST(an_address_that_is_not_allowed_is_not_connected_to)
{
	const struct ip other = { .b = { 127, 0, 0, 9 }, .family = 4 }, all = { .family = 0 };

	begin("/dev/null", 0);
	f.refused = &other;
	dial("two.example", f.at.port, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT_EQ(f.result.error, 0);
	close(f.result.fd);
	f.refused = &loop4; /* where somebody would have listened */
	dial("two.example", f.at.port, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT(f.result.error == ERR_CLOSED && f.result.step == DIAL_RACE);
	f.refused = &all;
	dial("127.0.0.1", f.at.port, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT(f.result.error == ERR_DENIED && f.result.step == DIAL_ALLOWED && f.result.fd == -1);
	end();
}

TEST(who_cancels_hears_nothing_and_nothing_stays_open)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fill[4], deaf, silent = socket(AF_INET, SOCK_DGRAM, 0);
	struct endpoint at, dns;
	char conf[64];

	REQUIRE(bind(silent, (struct sockaddr *)&sa, sizeof(sa)) == 0 && tcp_local(silent, &dns) == 0);
	snprintf(conf, sizeof(conf), "/tmp/emberbox-test-dial-conf-%d", (int)getpid());
	FILE *file = fopen(conf, "w");
	REQUIRE(file != NULL);
	fputs("nameserver 127.0.0.1\n", file);
	fclose(file);
	begin(conf, dns.port);
	REQUIRE((deaf = deaf_port(&at, fill)) >= 0);
	unsigned before = descriptors();

	dial("elsewhere.example", 1, SEC(5)); /* in the look-up */
	EXPECT(!is_done_within(MSEC(5)));
	dial_cancel(&f.dial);
	dial("127.0.0.1", at.port, SEC(5)); /* in the race */
	EXPECT(!is_done_within(MSEC(5)));
	EXPECT(descriptors() > before);
	dial_cancel(&f.dial);
	EXPECT_EQ(descriptors(), before);
	dial("127.0.0.1", f.at.port, SEC(5)); /* connected, or about to be, and not told yet */
	dial_cancel(&f.dial);
	dial_cancel(&f.dial);
	EXPECT(!is_done_within(MSEC(20)));
	EXPECT_EQ(f.done, 0);
	EXPECT_EQ(descriptors(), before);
	for (unsigned i = 0; i < 4; i++)
		close(fill[i]);
	close(deaf);
	close(silent);
	end();
	unlink(conf);
}

TEST(the_one_who_is_told_may_free_everything)
{
	begin("/dev/null", 0);
	f.frees_all = true;
	dial("here.example", f.at.port, SEC(5));
	REQUIRE(is_done_within(SEC(5)));
	EXPECT_EQ(f.result.error, 0);
	close(f.result.fd);
	EXPECT(!is_done_within(MSEC(20)));
	end();
}
