/* The process and its host. What changes the process for good runs in a child. */
#include "core/base/err.h"
#include "platform/sys.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(clocks_run_forward_and_know_the_century)
{
	u64 a = sys_now(), b = sys_clock_now(NULL);
	EXPECT(a > 0 && b >= a);
	EXPECT(sys_wall() > SEC(1700000000ull));
}

TEST(randomness_fills_all_of_a_buffer)
{
	u8 a[300] = { 0 }, b[300] = { 0 };
	rng_fill(sys_rng(), a, sizeof(a));
	rng_fill(sys_rng(), b, sizeof(b));
	EXPECT(memcmp(a, b, sizeof(a)) != 0);
	EXPECT(memcmp(a + 290, "\0\0\0\0\0\0\0\0\0", 10) != 0);
}

TEST(log_lines_are_written_whole_and_a_stuck_reader_costs_only_lines)
{
	int p[2];
	char line[1000], back[8] = "";
	REQUIRE(pipe2(p, O_NONBLOCK) == 0);
	struct log_sink sink;
	sys_log_sink(&sink, p[1], LOG_HUMAN);
	EXPECT(!sink.is_coloured);
	sink.write(sink.ctx, "hello\n", 6);
	EXPECT_EQ(read(p[0], back, sizeof(back)), 6);
	EXPECT_MEM(back, "hello\n", 6);
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 66; i++) /* a pipe holds 64 KiB */
		sink.write(sink.ctx, line, sizeof(line));
	close(p[0]);
	close(p[1]);
}

TEST(spec30_79_readiness_goes_to_the_notify_socket)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char buf[32] = "";
	unsetenv("NOTIFY_SOCKET");
	EXPECT_EQ(sys_notify("READY=1"), 0);

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "emberbox-test-%d", (int)getpid());
	REQUIRE(bind(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0);
	char name[128];
	snprintf(name, sizeof(name), "@%s", sa.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	EXPECT_EQ(sys_notify("READY=1"), 0);
	EXPECT_EQ(recv(fd, buf, sizeof(buf), 0), 7);
	EXPECT_STR(buf, "READY=1");
	close(fd);
	EXPECT_EQ(sys_notify("READY=1"), ERR_IO);
	unsetenv("NOTIFY_SOCKET");
}

/* Runs `child` in a process of its own; its status. */
static int in_child(int (*child)(void))
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(child());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int keeps_net_admin(void)
{
	if (sys_drop_privileges(SYS_KEEP_NET_ADMIN, "nobody") != 0)
		return 1;
	if (geteuid() == 0 || !sys_has_net_admin())
		return 2;
	return setuid(0) == 0 ? 3 : 0; /* no way back */
}

static int keeps_nothing(void)
{
	if (sys_drop_privileges(0, NULL) != 0)
		return 1;
	if (sys_has_net_admin())
		return 2;
	return setuid(1) == 0 ? 3 : 0; /* root without its power */
}

static int unknown_user(void)
{
	return sys_drop_privileges(0, "no-such-user-here") == ERR_NOT_FOUND ? 0 : 1;
}

TEST(privileges_are_dropped_but_for_those_kept)
{
	if (geteuid() != 0)
		TEST_SKIP("needs root to have something to drop");
	EXPECT(sys_has_net_admin());
	EXPECT_EQ(in_child(keeps_net_admin), 0);
	EXPECT_EQ(in_child(keeps_nothing), 0);
	EXPECT_EQ(in_child(unknown_user), 0);
}

static int fewer_files(void)
{
	return sys_limit_files(64) >= 64 ? 0 : 1;
}

TEST(figures_of_the_process_and_the_host_are_there)
{
	struct sys_usage u;
	struct sys_host h;
	char value[64];
	EXPECT_EQ(sys_usage(&u), 0);
	EXPECT(sys_memory_available() > 0);
	EXPECT(u.rss_bytes >= 16384 && u.peak_rss_bytes >= u.rss_bytes);
	sys_host(&h);
	EXPECT(*h.os && *h.os_version && *h.arch && *h.kernel && *h.hostname);
	EXPECT(!strchr(h.os, ' ') && !strchr(h.os, '/'));
	EXPECT_EQ(sys_sysctl_get("kernel/ostype", value, sizeof(value)), 0);
	EXPECT_STR(value, "Linux");
	EXPECT_EQ(sys_sysctl_get("kernel/no_such_thing", value, sizeof(value)), ERR_NOT_FOUND);
	EXPECT_EQ(in_child(fewer_files), 0);
}
