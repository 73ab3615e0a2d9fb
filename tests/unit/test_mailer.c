/* The whole way of a mail over loopback: queue, connection or child process, and what the settings page hears of it. */
#include "applets/portal/mail/mailer.h"
#include "applets/portal/store/store.h"
#include "core/base/strbuf.h"
#include "platform/sys.h"
#include "platform/tcp.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A server that reads commands line by line and answers from a script: one reply for each, the last one for ever. */
static struct world {
	struct loop *loop;
	struct portal portal;
	struct mail_config cfg, second;
	char path[64], why[256], program[64], taken[64];
	int listener, fd;
	struct loop_fd *listen_watch, *watch;
	const char *rcpt_reply; /* instead of 250 */
	bool dies_in_data;
	struct strbuf heard;
	u32 connections, mails;
	bool in_data;
	u32 done;
	int test_rc;
	char test_text[300];
} w;

static void reply(const char *text)
{
	EXPECT_EQ(tcp_write(w.fd, text, strlen(text)), strlen(text));
}

static void hang_up(void)
{
	loop_fd_del(w.watch);
	w.watch = NULL;
	if (w.fd >= 0)
		close(w.fd);
	w.fd = -1;
	w.in_data = false;
}

static void take_line(const char *line)
{
	if (w.in_data) {
		if (w.dies_in_data)
			hang_up();
		else if (strcmp(line, ".") == 0) {
			w.in_data = false;
			w.mails++;
			reply("250 2.0.0 taken\r\n");
		}
	} else if (strncmp(line, "EHLO", 4) == 0) {
		reply("250-x\r\n250 HELP\r\n");
	} else if (strncmp(line, "RCPT", 4) == 0 && w.rcpt_reply) {
		reply(w.rcpt_reply);
	} else if (strcmp(line, "DATA") == 0) {
		reply("354 go\r\n");
		w.in_data = true;
	} else if (strcmp(line, "QUIT") == 0) {
		reply("221 bye\r\n");
	} else {
		reply("250 ok\r\n");
	}
}

static void on_read(void *ctx, int fd, unsigned events, u64 now)
{
	char buf[4096];
	int n = tcp_read(fd, buf, sizeof(buf));

	(void)ctx;
	(void)events;
	(void)now;
	if (n == ERR_AGAIN)
		return;
	if (n < 0) {
		hang_up();
		return;
	}
	strbuf_add(&w.heard, buf, (size_t)n);
	for (char *nl; w.fd >= 0 && w.heard.n > 0 && (nl = strstr(w.heard.p, "\r\n")) != NULL;) {
		*nl = 0;
		take_line(w.heard.p);
		size_t used = (size_t)(nl - w.heard.p) + 2;
		memmove(w.heard.p, w.heard.p + used, w.heard.n - used + 1);
		w.heard.n -= used;
	}
}

static void on_accept(void *ctx, int fd, unsigned events, u64 now)
{
	struct endpoint peer;

	(void)ctx;
	(void)events;
	(void)now;
	hang_up();
	strbuf_reset(&w.heard);
	w.fd = tcp_accept(fd, &peer);
	REQUIRE(w.fd >= 0);
	w.connections++;
	w.watch = loop_fd_add(w.loop, w.fd, LOOP_READ, on_read, NULL);
	reply("220 mail.example\r\n");
}

static void on_done(void *ctx, int rc, const char *what)
{
	(void)ctx;
	w.done++;
	w.test_rc = rc;
	snprintf(w.test_text, sizeof(w.test_text), "%s", what);
}

static bool begin_ways(enum mail_way way, enum mail_way second, const char *script)
{
	struct endpoint any = { ip4(127, 0, 0, 1), 0 };
	struct sendmail *helper = NULL;
	char why[MAIL_WHY_MAX];

	memset(&w, 0, sizeof(w));
	w.fd = w.listener = -1;
	w.cfg = (struct mail_config){ .way = way, .from = "firezone@p.example", .host = "127.0.0.1" };
	w.second = (struct mail_config){ .way = second, .from = "firezone@p.example", .host = "127.0.0.1" };
	if (way == MAIL_BY_SENDMAIL || second == MAIL_BY_SENDMAIL) {
		snprintf(w.program, sizeof(w.program), "/tmp/emberbox-test-sendmail-%d", (int)getpid());
		snprintf(w.taken, sizeof(w.taken), "/tmp/emberbox-test-taken-%d", (int)getpid());
		FILE *f = fopen(w.program, "w");
		if (!EXPECT(f != NULL))
			return false;
		fprintf(f, "#!/bin/sh\ntaken=%s\n%s\n", w.taken, script);
		fclose(f);
		chmod(w.program, 0755);
		snprintf(w.cfg.sendmail, sizeof(w.cfg.sendmail), "%s", w.program);
		snprintf(w.second.sendmail, sizeof(w.second.sendmail), "%s", w.program);
		if (!EXPECT_EQ(sendmail_start(w.program, w.cfg.from, &helper), 0))
			return false;
	}
	w.loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	if (way == MAIL_BY_SMTP || second == MAIL_BY_SMTP) {
		w.listener = tcp_listen(&any);
		tcp_local(w.listener, &any);
		w.cfg.port = w.second.port = any.port;
		w.listen_watch = loop_fd_add(w.loop, w.listener, LOOP_READ, on_accept, NULL);
	}
	snprintf(w.path, sizeof(w.path), "/tmp/emberbox-test-mailer-%d.db", (int)getpid());
	unlink(w.path);
	w.portal = (struct portal){ .rng = sys_rng(), .now = sys_now, .wall = sys_wall };
	return EXPECT_EQ(store_open(&w.portal.store, w.path, w.why, sizeof(w.why)), 0) &&
	       EXPECT_EQ(mailer_new(&w.portal, w.loop, &w.cfg, &w.second, helper, &w.portal.mailer, why), 0);
}

static bool begin(enum mail_way way, const char *script)
{
	return begin_ways(way, MAIL_BY_NOTHING, script);
}

static void end(void)
{
	char name[80];

	mailer_free(w.portal.mailer);
	hang_up();
	loop_fd_del(w.listen_watch);
	if (w.listener >= 0)
		close(w.listener);
	loop_free(w.loop);
	store_close(w.portal.store);
	strbuf_free(&w.heard);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", w.path, i == 0 ? "" : i == 1 ? "-wal" : "-shm");
		unlink(name);
	}
	unlink(w.program);
	unlink(w.taken);
}

static struct mail_status status(void)
{
	struct mail_status s;

	mail_status(&w.portal, &s);
	return s;
}

/* Until the count is reached, at most ten seconds. */
static bool run_until(const u32 *count, u32 want)
{
	u64 stop = sys_now() + SEC(10);

	while (*count < want && sys_now() < stop)
		loop_turn(w.loop, sys_now() + MSEC(20));
	return *count >= want;
}

static bool run_until_queued(u64 want)
{
	u64 stop = sys_now() + SEC(10);

	while (status().queued != want && sys_now() < stop)
		loop_turn(w.loop, sys_now() + MSEC(20));
	return status().queued == want;
}

static int send_to(const char *to)
{
	return mail_send(&w.portal, &(struct mail){ .kind = MAIL_CODE, .to = to, .code = "abc123" });
}

static u64 test_to(const char *to)
{
	return mail_test(&w.portal, to, "Kim", on_done, NULL, w.why, sizeof(w.why));
}

TEST(mails_go_out_over_one_connection)
{
	if (!begin(MAIL_BY_SMTP, NULL))
		return;
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT_EQ(status().queued, 5);
	EXPECT(run_until_queued(0));
	EXPECT_EQ(w.mails, 5);
	EXPECT_EQ(w.connections, 1);
	EXPECT(status().sent_at > 0);
	EXPECT_STR(status().sent_to, "jo@acme.example");
	EXPECT(strstr(status().transport, "127.0.0.1 port"));
	end();
}

TEST(mail_that_is_refused_is_over_and_what_is_deferred_waits)
{
	if (!begin(MAIL_BY_SMTP, NULL))
		return;
	w.rcpt_reply = "550 5.1.1 who?\r\n";
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(run_until_queued(0));
	EXPECT_STR(status().failure, "550 5.1.1 who?");
	w.rcpt_reply = "451 4.7.1 come again\r\n";
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	u64 stop = sys_now() + SEC(10);
	while (!strstr(status().failure, "451") && sys_now() < stop)
		loop_turn(w.loop, sys_now() + MSEC(20));
	for (int i = 0; i < 20; i++)
		loop_turn(w.loop, sys_now() + MSEC(10));
	EXPECT(w.connections <= 2);
	EXPECT_EQ(status().queued, 1);
	EXPECT_STR(status().failure, "451 4.7.1 come again");
	end();
}

TEST(mail_test_tells_what_the_server_said)
{
	if (!begin(MAIL_BY_SMTP, NULL))
		return;
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 1));
	EXPECT_EQ(w.test_rc, 0);
	EXPECT_STR(w.test_text, "250 2.0.0 taken");
	w.rcpt_reply = "553 5.1.3 never heard of\r\n";
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 2));
	EXPECT_EQ(w.test_rc, ERR_DENIED);
	EXPECT_STR(w.test_text, "553 5.1.3 never heard of");
	w.rcpt_reply = NULL;
	w.dies_in_data = true;
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 3));
	EXPECT_EQ(w.test_rc, ERR_AGAIN);
	EXPECT(strstr(w.test_text, "closed the connection"));
	EXPECT_EQ(test_to("nobody"), 0);
	EXPECT(strstr(w.why, "no e-mail address"));
	end();
}

TEST(mail_test_without_a_server_says_so_and_what_waits_keeps_waiting)
{
	if (!begin(MAIL_BY_SMTP, NULL))
		return;
	loop_fd_del(w.listen_watch);
	w.listen_watch = NULL;
	close(w.listener);
	w.listener = -1;
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(test_to("kim@acme.example") != 0);
	EXPECT(run_until(&w.done, 1));
	EXPECT_EQ(w.test_rc, ERR_CLOSED);
	EXPECT(strstr(w.test_text, "refused"));
	EXPECT_EQ(status().queued, 1);
	EXPECT(test_to("kim@acme.example") != 0); /* a pause is no reason to wait for a test */
	EXPECT(run_until(&w.done, 2));
	for (u32 i = 0; i < MAIL_TESTS_MAX; i++)
		EXPECT(test_to("kim@acme.example") != 0);
	u64 id = test_to("kim@acme.example");
	EXPECT_EQ(id, 0);
	EXPECT(run_until(&w.done, 2 + MAIL_TESTS_MAX));
	id = test_to("kim@acme.example");
	mail_test_cancel(&w.portal, id);
	for (int i = 0; i < 20; i++)
		loop_turn(w.loop, sys_now() + MSEC(10));
	EXPECT_EQ(w.done, 2 + MAIL_TESTS_MAX);
	end();
}

/* spec 60 §0.2, SECONDARY_OUTBOUND_EMAIL: nobody listens where the first should be. */
TEST(mail_that_the_first_server_cannot_take_leaves_by_the_second)
{
	struct endpoint any = { ip4(127, 0, 0, 1), 0 };
	int closed = tcp_listen(&any);

	if (!begin_ways(MAIL_BY_SMTP, MAIL_BY_SMTP, NULL))
		return;
	tcp_local(closed, &any);
	close(closed);
	w.cfg.port = any.port;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(run_until_queued(0));
	EXPECT_EQ(w.mails, 3);
	EXPECT_EQ(w.connections, 1); /* the first is not asked anew for each */
	EXPECT(strstr(status().failure, "refused"));
	EXPECT(strstr(status().transport, "without encryption, else 127.0.0.1 port"));
	EXPECT(test_to("kim@acme.example") != 0);
	EXPECT(run_until(&w.done, 1));
	EXPECT_EQ(w.test_rc, 0);
	/* and when the second goes too, it waits */
	loop_fd_del(w.listen_watch);
	w.listen_watch = NULL;
	close(w.listener);
	w.listener = -1;
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(test_to("kim@acme.example") != 0);
	EXPECT(run_until(&w.done, 2));
	EXPECT_EQ(w.test_rc, ERR_CLOSED);
	EXPECT_EQ(status().queued, 1);
	end();
}

TEST(mail_that_the_first_defers_leaves_by_the_second_and_what_it_refuses_does_not)
{
	if (!begin_ways(MAIL_BY_SMTP, MAIL_BY_SENDMAIL, "cat >> $taken"))
		return;
	w.rcpt_reply = "550 5.1.1 who?\r\n";
	EXPECT_EQ(send_to("nobody@acme.example"), 0);
	EXPECT(run_until_queued(0));
	EXPECT(access(w.taken, F_OK) != 0);
	w.rcpt_reply = "451 4.7.1 come again\r\n";
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(run_until_queued(0));
	EXPECT(access(w.taken, F_OK) == 0);
	EXPECT_STR(status().sent_to, "jo@acme.example");
	EXPECT_EQ(w.mails, 0);
	end();
}

TEST(mail_without_a_mailer_is_not_possible)
{
	struct portal p = { .store = NULL };
	struct mail_status s;
	char why[100];

	EXPECT(!mail_is_possible(&p));
	EXPECT_EQ(mail_send(&p, &(struct mail){ .kind = MAIL_TEST, .to = "a@b.example" }), ERR_UNSUPPORTED);
	EXPECT_EQ(mail_test(&p, "a@b.example", "x", on_done, NULL, why, sizeof(why)), 0);
	mail_status(&p, &s);
	EXPECT(!s.is_possible);
	EXPECT_STR(s.transport, "none");
}

/* ---- sendmail ---------------------------------------------------------------------------------------------------------------------------- */

TEST(mail_by_sendmail_is_given_to_the_program_as_it_is)
{
	char text[4000] = "";

	if (!begin(MAIL_BY_SENDMAIL, "{ echo \"$@\"; cat; } >$taken"))
		return;
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(run_until_queued(0));
	int fd = open(w.taken, O_RDONLY);
	REQUIRE(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	EXPECT(strstr(text, "-t -oi -f firezone@p.example\nFrom: emberbox") == text);
	EXPECT(strstr(text, "\r\nTo: <jo@acme.example>\r\n"));
	EXPECT(strstr(text, "abc123"));
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 1));
	EXPECT_EQ(w.test_rc, 0);
	end();
}

TEST(mail_by_sendmail_its_status_decides)
{
	if (!begin(MAIL_BY_SENDMAIL, "echo 'the queue is full' >&2; exit 75"))
		return;
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 1));
	EXPECT_EQ(w.test_rc, ERR_AGAIN);
	EXPECT(strstr(w.test_text, "ended with status 75: the queue is full"));
	end();

	if (!begin(MAIL_BY_SENDMAIL, "cat >/dev/null; exit 67"))
		return;
	EXPECT_EQ(send_to("jo@acme.example"), 0);
	EXPECT(run_until_queued(0));
	EXPECT(strstr(status().failure, "ended with status 67"));
	end();

	if (!begin(MAIL_BY_SENDMAIL, "kill -9 $$"))
		return;
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 1));
	EXPECT(strstr(w.test_text, "died of signal 9"));
	unlink(w.program);
	EXPECT(test_to("jo@acme.example") != 0);
	EXPECT(run_until(&w.done, 2));
	EXPECT(strstr(w.test_text, "cannot be run: No such file"));
	end();
}
