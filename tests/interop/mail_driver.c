/* The portal's mailer for scripts, without a portal.
 *
 *	mail_driver STATE.db TRANSPORT CA.pem|- FROM
 *
 * TRANSPORT as `portal serve --mail` takes it. Then reads lines: `send ADDRESS` queues a sign-in code, `test ADDRESS` sends a test mail. Prints, a line
 * each: `ready`, `test RC WORDS`, and when something changed `status queued=N sent=ADDRESS failed=ADDRESS WORDS`.
 */
#include "applets/portal/mail/mailer.h"
#include "applets/portal/store/store.h"
#include "platform/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct portal portal;
static struct loop *loop;
static struct loop_timer timer;

static void die(const char *why)
{
	fprintf(stderr, "mail_driver: %s\n", why);
	exit(1);
}

static void on_test(void *ctx, int rc, const char *what)
{
	(void)ctx;
	printf("test %d %s\n", rc, what);
	fflush(stdout);
}

static void take_line(char *line)
{
	char why[200], *to = strchr(line, ' ');

	if (!to)
		die("a command has an address");
	*to++ = 0;
	if (strcmp(line, "test") == 0) {
		if (!mail_test(&portal, to, "the driver", on_test, NULL, why, sizeof(why)))
			printf("test %d %s\n", ERR_INVAL, why);
	} else {
		int rc = mail_send(&portal, &(struct mail){ .kind = MAIL_CODE, .to = to, .account_name = "Caf\xc3\xa9 Acme", .code = "c0de42",
							    .url = "https://portal.example/acme/verify?secret=c0de42", .remote_ip = ip4(192, 0, 2, 1),
							    .user_agent = "driver" });
		printf("queued %d\n", rc);
	}
	fflush(stdout);
}

static void on_input(void *ctx, int fd, unsigned events, u64 now)
{
	static char buf[4096];
	static size_t n;
	ssize_t got = read(fd, buf + n, sizeof(buf) - n - 1);
	char *nl;

	(void)ctx;
	(void)events;
	(void)now;
	if (got == 0)
		loop_stop(loop);
	if (got <= 0)
		return;
	n += (size_t)got;
	buf[n] = 0;
	while ((nl = strchr(buf, '\n')) != NULL) {
		*nl = 0;
		take_line(buf);
		n -= (size_t)(nl + 1 - buf);
		memmove(buf, nl + 1, n + 1);
	}
}

static void on_timer(void *ctx, u64 now)
{
	static char last[1024];
	char line[1024];
	struct mail_status s;

	(void)ctx;
	mail_status(&portal, &s);
	snprintf(line, sizeof(line), "status queued=%u sent=%s failed=%s %s", (unsigned)s.queued, s.sent_to, s.failed_to, s.failure);
	if (strcmp(line, last) != 0)
		puts(line);
	fflush(stdout);
	memcpy(last, line, sizeof(last));
	loop_timer_set(loop, &timer, now + MSEC(50));
}

int main(int argc, char **argv)
{
	struct mail_config cfg;
	struct sendmail *helper = NULL;
	char why[300];

	if (argc != 5)
		die("usage: mail_driver STATE.db TRANSPORT CA.pem|- FROM");
	if (mail_config_read(&cfg, &(struct mail_options){ .transport = argv[2], .from = argv[4], .ca_file = strcmp(argv[3], "-") ? argv[3] : NULL }, why))
		die(why);
	if (cfg.way == MAIL_BY_SENDMAIL && sendmail_start(cfg.sendmail, cfg.from, &helper))
		die("no helper");
	loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	portal = (struct portal){ .rng = sys_rng(), .now = sys_now, .wall = sys_wall };
	if (!loop || store_open(&portal.store, argv[1], why, sizeof(why)) || mailer_new(&portal, loop, &cfg, NULL, helper, &portal.mailer, why))
		die(why);
	fcntl(0, F_SETFL, O_NONBLOCK);
	loop_fd_add(loop, 0, LOOP_READ, on_input, NULL);
	timer = (struct loop_timer){ .cb = on_timer };
	loop_timer_set(loop, &timer, sys_now());
	puts("ready");
	loop_run(loop);
	mailer_free(portal.mailer);
	loop_free(loop);
	store_close(portal.store);
	mail_config_wipe(&cfg);
	return 0;
}
