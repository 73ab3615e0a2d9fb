/* The small HTTP server over loopback: health checks, control, metrics, and what is no request. */
#include "applets/common/health.h"
#include "applets/relay/control.h"
#include "core/base/err.h"
#include "platform/sys.h"
#include "platform/tcp.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct loop *loop;
static struct loop_timer waker;

static void nothing(void *ctx, u64 now)
{
	(void)ctx, (void)now;
}

static void start(void)
{
	loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	waker = (struct loop_timer){ .cb = nothing };
}

static struct endpoint any_port(void)
{
	return (struct endpoint){ ip4(127, 0, 0, 1), 0 };
}

static int dial(const struct endpoint *to)
{
	int fd = tcp_connect_start(to, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (fd >= 0)
		poll(&p, 1, 5000);
	return fd;
}

static void turn(void)
{
	loop_timer_set(loop, &waker, loop_now(loop) + MSEC(5));
	loop_turn(loop, loop_now(loop) + MSEC(5));
}

/* What came back until the server closed; "" when it did not within five seconds. */
static const char *hear(int fd)
{
	static char text[HTTPD_BODY_MAX + 512];
	size_t n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		turn();
		int got = tcp_read(fd, text + n, sizeof(text) - 1 - n);
		if (got > 0)
			n += (size_t)got;
		text[n] = '\0';
		if (got < 0 && got != ERR_AGAIN)
			return text;
	}
	return "";
}

static const char *ask(const struct endpoint *at, const char *request)
{
	int fd = dial(at);
	const char *text;

	EXPECT_EQ(tcp_write(fd, request, strlen(request)), strlen(request));
	text = hear(fd);
	close(fd);
	return text;
}

static u16 status_of(const struct endpoint *at, const char *request)
{
	unsigned status = 0;

	sscanf(ask(at, request), "HTTP/1.1 %u", &status);
	return (u16)status;
}

static bool says_ready(void *ctx)
{
	return *(bool *)ctx;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: x\r\n\r\n"

TEST(spec40_6_spec50_50_health_and_readiness)
{
	bool is_ready = false;
	struct endpoint at = any_port();
	int rc;

	start();
	struct health *h = health_open(loop, &at, says_ready, &is_ready, &rc);
	REQUIRE(h && health_local(h, &at) == 0);
	EXPECT_STR(ask(&at, GET("/healthz")), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	EXPECT_EQ(status_of(&at, GET("/readyz")), 503);
	is_ready = true;
	EXPECT_EQ(status_of(&at, GET("/readyz")), 200);
	EXPECT_EQ(status_of(&at, GET("/")), 404);
	EXPECT_EQ(status_of(&at, POST("/healthz")), 404);
	EXPECT_EQ(status_of(&at, GET("/healthz?verbose")), 200);
	EXPECT_EQ(status_of(&at, "\x16\x03\x01 is TLS\r\n\r\n"), 400);
	health_close(h);

	at = any_port(); /* a gateway is ready from the start, whatever its portal does (spec 40 §1.2) */
	h = health_open(loop, &at, NULL, NULL, &rc);
	REQUIRE(h && health_local(h, &at) == 0);
	EXPECT_EQ(status_of(&at, GET("/healthz")), 200);
	EXPECT_EQ(status_of(&at, GET("/readyz")), 200);
	health_close(h);
	loop_free(loop);
}

TEST(a_request_may_come_in_pieces_and_a_silent_peer_holds_up_nobody)
{
	struct endpoint at = any_port();
	int rc, silent[HTTPD_CONNS_MAX - 1], slow;

	start();
	struct health *h = health_open(loop, &at, NULL, NULL, &rc);
	REQUIRE(h && health_local(h, &at) == 0);
	for (size_t i = 0; i < HTTPD_CONNS_MAX - 1; i++)
		silent[i] = dial(&at);
	slow = dial(&at);
	for (const char *p = "GET /healthz HT"; *p; p++) {
		EXPECT_EQ(tcp_write(slow, p, 1), 1);
		turn();
	}
	EXPECT_EQ(tcp_write(slow, "TP/1.0\r\n\r\n", 10), 10);
	EXPECT(strncmp(hear(slow), "HTTP/1.1 200", 12) == 0);
	EXPECT_EQ(status_of(&at, GET("/healthz")), 200);
	close(slow);
	for (size_t i = 0; i < HTTPD_CONNS_MAX - 1; i++)
		close(silent[i]);
	health_close(h);
	loop_free(loop);
}

static char applied[CONTROL_FILTER_MAX];

static int apply(void *ctx, const char *filter)
{
	(void)ctx;
	snprintf(applied, sizeof(applied), "%s", filter);
	return strstr(filter, "loud") ? ERR_INVAL : 0;
}

static const struct turn_server_stats *stats(void *ctx)
{
	return ctx;
}

TEST(control_changes_the_filter_and_tells_metrics)
{
	struct turn_server_stats st = { .allocations = 3, .channels = 5, .tx_successes = 40, .tx_errors = 2, .to_peer_bytes = 1000,
					.to_client_bytes = 234 };
	struct control_config cfg = { { ip4(127, 0, 0, 1), 39471 }, apply, stats, &st };
	int rc;

	start();
	struct control *c = NULL;
	for (unsigned i = 0; i < 50 && !c; i++, cfg.listen.port++) /* a port may be taken */
		c = control_open(loop, &cfg, &rc);
	cfg.listen.port--;
	REQUIRE(c);
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter?directives=relay%3Ddebug,turn=trace")), 200);
	EXPECT_STR(applied, "relay=debug,turn=trace");
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter?x=1&directives=info&y")), 200);
	EXPECT_STR(applied, "info");
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter?directives=loud")), 400);
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter?directives=")), 400);
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter?directives=a%0ab")), 400);
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter?directives=%4")), 400);
	EXPECT_EQ(status_of(&cfg.listen, POST("/log_filter")), 400);
	EXPECT_EQ(status_of(&cfg.listen, GET("/log_filter?directives=info")), 404);
	const char *text = ask(&cfg.listen, GET("/metrics"));
	EXPECT(strncmp(text, "HTTP/1.1 200", 12) == 0);
	EXPECT(strstr(text, "\nallocations_total 3\n") && strstr(text, "\nchannels_total 5\n"));
	EXPECT(strstr(text, "\nresponses_total{response_class=\"success\"} 40\nresponses_total{response_class=\"error\"} 2\n"));
	EXPECT(strstr(text, "\ndata_relayed_userspace_bytes 1234\n"));
	control_close(c);
	loop_free(loop);
}

/* A relay may run out of them; whoever waits for its health must not keep it turning. */
TEST(without_descriptors_the_listener_rests)
{
	struct endpoint at = any_port();
	struct rlimit all, few;
	unsigned n = 0;
	int rc;

	start();
	struct health *h = health_open(loop, &at, NULL, NULL, &rc);
	REQUIRE(h && health_local(h, &at) == 0);
	int fd = dial(&at);
	REQUIRE(fd >= 0 && getrlimit(RLIMIT_NOFILE, &all) == 0);
	few = all;
	few.rlim_cur = (rlim_t)fd + 1; /* all below are in use */
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (u64 end = loop_now(loop) + MSEC(100); sys_now() < end; n++)
		turn();
	EXPECT(n < 50);
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &all), 0);
	EXPECT_EQ(tcp_write(fd, GET("/healthz"), strlen(GET("/healthz"))), strlen(GET("/healthz")));
	EXPECT(strncmp(hear(fd), "HTTP/1.1 200", 12) == 0);
	close(fd);
	health_close(h);
	loop_free(loop);
}
