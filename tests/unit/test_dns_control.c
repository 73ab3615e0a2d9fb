/* platform/dns_control.h in a folder of the test's own, with scripts in place of resolvectl and the service manager. */
#include "platform/dns_control.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/linux/dns_dnsmasq.h"
#include "platform/linux/dns_resolv_conf.h"
#include "platform/sys.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORIGINAL "# made by hand\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch old.example\noptions edns0 ndots:3 timeout:1\n"

struct place {
	char dir[64], file[96], backup[96], tool[96], log[96], conf_dir[96], restart[160];
	struct dns_control *c;
	struct dns_control_event last;
	bool had_event;
};

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		test_fail(__FILE__, __LINE__, "cannot write %s", path);
}

/* Static: valid until the next call. "" when it is not there. */
static const char *text_at(const char *path)
{
	static char text[2][16384];
	static unsigned turn;
	char *t = text[turn++ % 2];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(t, 1, sizeof(text[0]) - 1, f) : 0;

	t[n] = '\0';
	if (f)
		fclose(f);
	return t;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static struct place make_place(void)
{
	struct place p = { .dir = "/dev/shm/emberbox-dns-XXXXXX" }; /* where syncing costs nothing */

	if (!mkdtemp(p.dir) && !mkdtemp(strcpy(p.dir, "/tmp/emberbox-dns-XXXXXX")))
		test_fail(__FILE__, __LINE__, "mkdtemp");
	snprintf(p.file, sizeof(p.file), "%s/resolv.conf", p.dir);
	snprintf(p.backup, sizeof(p.backup), "%s/resolv.conf.before-firezone", p.dir);
	snprintf(p.tool, sizeof(p.tool), "%s/tool", p.dir);
	snprintf(p.log, sizeof(p.log), "%s/log", p.dir);
	snprintf(p.conf_dir, sizeof(p.conf_dir), "%s/d", p.dir);
	snprintf(p.restart, sizeof(p.restart), "%s restart  dnsmasq", p.tool);
	mkdir(p.conf_dir, 0755);
	write_text(p.file, ORIGINAL);
	return p;
}

static void start(struct place *p, enum dns_control_method method)
{
	struct dns_control_config cfg = {
		.method = method,
		.interface = "tun-test",
		.paths = {
			.resolv_conf = p->file,
			.backup = p->backup,
			.resolvectl = p->tool,
			.dnsmasq_dir = p->conf_dir,
			.dnsmasq_resolv = p->file,
			.dnsmasq_restart = p->restart,
		},
	};
	p->c = dns_control_new(&cfg);
}

/* What kill -9 leaves: no deactivation. */
static void killed(struct place *p)
{
	dns_control_free(p->c);
	p->c = NULL;
}

static void end(struct place *p)
{
	char command[128];

	dns_control_free(p->c);
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	if (system(command))
		test_fail(__FILE__, __LINE__, "%s", command);
}

/* A program that notes its arguments and then runs `body`. */
static void make_tool(struct place *p, const char *body)
{
	char text[1024];

	snprintf(text, sizeof(text), "#!/bin/sh\necho \"$*\" >>%s\n%s\n", p->log, body);
	write_text(p->tool, text);
	chmod(p->tool, 0755);
}

/* Until an event is there and no program runs. */
static bool wait_event(struct place *p)
{
	for (unsigned i = 0; i < 3000; i++) {
		struct pollfd fd = { .fd = dns_control_fd(p->c), .events = POLLIN };
		if (dns_control_poll_event(p->c, &p->last))
			return true;
		if (dns_control_next_timeout(p->c) == TIME_NEVER)
			return false;
		poll(&fd, 1, 10);
		dns_control_timeout(p->c, sys_now());
	}
	return false;
}

static int activate(struct place *p, const char *first, const char *second, const char *domain)
{
	struct ip s[2] = { { .family = 0 } };
	size_t n = 0;

	if (first)
		ip_parse(SPAN(first, strlen(first)), &s[n++]);
	if (second)
		ip_parse(SPAN(second, strlen(second)), &s[n++]);
	int rc = dns_control_activate(p->c, sys_now(), s, n, domain);
	if (rc)
		return rc;
	if (!wait_event(p))
		return ERR_STATE;
	EXPECT(p->last.type == DNS_CONTROL_ACTIVE || p->last.type == DNS_CONTROL_FAILED);
	return p->last.error;
}

static size_t read_servers(struct place *p)
{
	dns_control_read(p->c, sys_now());
	if (!wait_event(p) || p->last.type != DNS_CONTROL_SERVERS)
		return 999;
	return p->last.n;
}

/* --- etc-resolv-conf ----------------------------------------------------------------------------------------------------------------- */

TEST(spec30_70_backup_rewrite_restore)
{
	struct place p = make_place();
	struct stat before, during;

	chmod(p.file, 0640);
	stat(p.file, &before);
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT_EQ(activate(&p, "100.100.111.1", "fd00:2021:1111:8000:100:100:111:0", "corp.example"), 0);

	const char *text = text_at(p.file);
	EXPECT(strncmp(text, DNS_CONTROL_MAGIC "\n", strlen(DNS_CONTROL_MAGIC) + 1) == 0);
	const char *body = strstr(text, "nameserver");
	EXPECT_STR(body ? body : "", "nameserver 100.100.111.1\nnameserver fd00:2021:1111:8000:100:100:111:0\nsearch corp.example\n"
				     "options ndots:1 edns0 timeout:1\n");
	EXPECT_STR(text_at(p.backup), ORIGINAL);
	stat(p.file, &during);
	EXPECT_EQ(during.st_ino, before.st_ino);
	EXPECT_EQ(during.st_mode & 0777, 0640);
	stat(p.backup, &during);
	EXPECT_EQ(during.st_mode & 0777, 0640);

	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	stat(p.file, &during);
	EXPECT_EQ(during.st_ino, before.st_ino);
	end(&p);
}

TEST(spec30_70_another_activation_keeps_the_first_backup)
{
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, "a-long-search-domain.example"), 0);
	EXPECT_EQ(activate(&p, "100.100.111.2", NULL, NULL), 0);
	EXPECT(strstr(text_at(p.file), "nameserver 100.100.111.2\noptions"));
	EXPECT(!strstr(text_at(p.file), "100.100.111.1\n"));
	EXPECT_STR(text_at(p.backup), ORIGINAL);
	EXPECT_EQ(dns_control_stats(p.c)->backups, 1);
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	end(&p);
}

TEST(spec30_70_restored_at_next_start_after_a_kill)
{
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	killed(&p);
	EXPECT(strstr(text_at(p.file), DNS_CONTROL_MAGIC));
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT_EQ(dns_control_stats(p.c)->restores, 1);
	end(&p);
}

/* The rewriting of an original that is longer than our text, stopped between its two steps; and the reverse. */
TEST(spec30_70_restored_after_a_kill_in_the_middle_of_writing)
{
	static const char *const torn[] = { DNS_CONTROL_MAGIC "\n# sum 0000000000000000\nnameserver 100.100.111.1\ntail of the old text\n",
					    "# BEGIN Firezone DN" };
	static const char *const originals[] = { ORIGINAL, "nameserver 9.9.9.9\n" };

	for (unsigned i = 0; i < ARRAY_LEN(torn); i++) {
		struct place p = make_place();
		write_text(p.backup, originals[i]);
		write_text(p.file, torn[i]);
		start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
		EXPECT_EQ(dns_control_recover(p.c), 0);
		EXPECT_STR(text_at(p.file), originals[i]);
		end(&p);
	}
}

/* A child does all there is to do and is killed after its n-th system call. False: it had come to its end before. */
static bool killed_after(struct place *p, unsigned n)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		start(p, DNS_CONTROL_ETC_RESOLV_CONF);
		activate(p, "100.100.111.1", NULL, "a-rather-long-search-domain.example");
		activate(p, "100.100.111.2", NULL, NULL);
		(void)!dns_control_deactivate(p->c);
		_exit(0);
	}
	bool runs = waitpid(child, &status, 0) == child && WIFSTOPPED(status);
	for (unsigned i = 0; i < 2 * n && runs; i++) { /* a stop at the start and at the end of each */
		runs = ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status);
	}
	if (runs) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	return runs;
}

/* Whenever a run is killed, the next start finds what was there before: tried at each system call. */
TEST(spec30_70_killed_at_any_moment)
{
	static char long_one[3000];
	static const char *const originals[] = { "nameserver 9.9.9.9\n", ORIGINAL, long_one };
	unsigned moments = 0;

	while (strlen(long_one) < 2800)
		strcat(long_one, "# a comment of some length, which is not kept while the client runs\n");
	for (unsigned i = 0; i < ARRAY_LEN(originals); i++) {
		bool runs = true;
		for (unsigned n = 1; runs; n++, moments++) {
			struct place p = make_place();
			write_text(p.file, originals[i]);
			runs = killed_after(&p, n);
			start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
			EXPECT_EQ(dns_control_recover(p.c), 0);
			EXPECT_STR(text_at(p.file), originals[i]);
			end(&p);
		}
	}
	if (moments == ARRAY_LEN(originals))
		test_skip("this process may not trace its child");
	else
		EXPECT(moments > 100);
}

/* The safe variant of spec 30 §16: an old backup does not overwrite what was written between two runs. */
TEST(spec30_70_an_old_backup_is_not_restored_without_the_magic_line)
{
	struct place p = make_place();

	write_text(p.backup, "nameserver 1.2.3.4\n");
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT_EQ(read_servers(&p), 2);
	EXPECT_EQ(dns_control_stats(p.c)->restores, 0);
	end(&p);
}

TEST(spec30_70_a_foreign_file_at_exit_is_left_alone)
{
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	write_text(p.file, "nameserver 10.0.0.1\n");
	EXPECT_EQ(dns_control_deactivate(p.c), ERR_EXISTS);
	EXPECT(strstr(dns_control_why(p.c), "changed by somebody else"));
	EXPECT_STR(text_at(p.file), "nameserver 10.0.0.1\n");
	EXPECT_STR(text_at(p.backup), ORIGINAL);
	end(&p);
}

/* A DHCP client has written its own file: that is what is put back later. */
TEST(spec30_70_a_foreign_file_is_backed_up_by_the_next_activation)
{
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	write_text(p.file, "nameserver 10.0.0.1\n");
	EXPECT_EQ(activate(&p, "100.100.111.2", NULL, NULL), 0);
	EXPECT(strstr(text_at(p.file), "nameserver 100.100.111.2\n"));
	EXPECT_STR(text_at(p.backup), "nameserver 10.0.0.1\n");
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT_STR(text_at(p.file), "nameserver 10.0.0.1\n");
	end(&p);
}

/* The same without a new activation, found by the reading that follows news of the host; but no fight with who rewrites it all the time. */
TEST(spec30_71_a_replaced_file_is_taken_again_once_a_minute)
{
	struct place p = make_place();
	const u64 now = sys_now();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	write_text(p.file, "nameserver 10.0.0.1\n");
	dns_control_read(p.c, now);
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_SERVERS);
	EXPECT(p.last.n == 1 && p.last.servers[0].b[0] == 10);
	EXPECT(strstr(text_at(p.file), "nameserver 100.100.111.1\n"));
	EXPECT_STR(text_at(p.backup), "nameserver 10.0.0.1\n");

	write_text(p.file, "nameserver 10.0.0.2\n");
	dns_control_read(p.c, now + DNS_CONTROL_RETAKE - 1);
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_SERVERS && p.last.servers[0].b[3] == 2);
	EXPECT(!wait_event(&p));
	EXPECT_STR(text_at(p.file), "nameserver 10.0.0.2\n");
	dns_control_read(p.c, now + DNS_CONTROL_RETAKE);
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_SERVERS);
	EXPECT(!wait_event(&p));
	EXPECT_EQ(dns_control_stats(p.c)->retaken, 2);
	EXPECT(strstr(text_at(p.file), "nameserver 100.100.111.1\n"));

	/* What is not understood is no reason to end. */
	write_text(p.file, "who knows\n");
	dns_control_read(p.c, now + 2 * DNS_CONTROL_RETAKE);
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_SERVERS && p.last.n == 0);
	EXPECT(!wait_event(&p));
	EXPECT_STR(text_at(p.file), "who knows\n");
	write_text(p.file, "nameserver 10.0.0.2\n");
	dns_control_read(p.c, now + 3 * DNS_CONTROL_RETAKE);
	EXPECT(wait_event(&p));
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT_STR(text_at(p.file), "nameserver 10.0.0.2\n");
	end(&p);
}

TEST(spec30_70_our_file_edited_by_somebody_is_left_alone)
{
	struct place p = make_place();
	char edited[4096];

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	snprintf(edited, sizeof(edited), "%soptions rotate\n", text_at(p.file));
	write_text(p.file, edited);
	EXPECT_EQ(activate(&p, "100.100.111.2", NULL, NULL), 0);
	EXPECT_STR(text_at(p.file), edited);
	EXPECT_EQ(dns_control_deactivate(p.c), ERR_EXISTS);
	EXPECT_STR(text_at(p.file), edited);
	EXPECT_EQ(dns_control_stats(p.c)->left_alone, 2);
	killed(&p);

	/* At the next start its resolvers are dead: what was there before comes back, the edit is kept. */
	char kept[128];
	snprintf(kept, sizeof(kept), "%s-edited", p.backup);
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT_STR(text_at(kept), edited);
	end(&p);
}

/* Firezone's own client leaves no sum behind its first line. */
TEST(spec30_70_restores_after_firezones_client)
{
	struct place p = make_place();
	char kept[128];

	snprintf(kept, sizeof(kept), "%s-edited", p.backup);
	write_text(p.backup, ORIGINAL);
	write_text(p.file, DNS_CONTROL_MAGIC "\n\nnameserver 100.100.111.1\n");
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT(!is_there(kept));
	end(&p);
}

TEST(spec30_70_symlink_missing_and_directory_are_refused)
{
	struct place p = make_place();
	char target[128];

	snprintf(target, sizeof(target), "%s/stub-resolv.conf", p.dir);
	write_text(target, ORIGINAL);
	unlink(p.file);
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), ERR_NOT_FOUND);
	EXPECT(strstr(dns_control_why(p.c), "does not exist"));
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_NOT_FOUND);
	EXPECT_EQ(p.last.type, DNS_CONTROL_FAILED);

	EXPECT_EQ(symlink(target, p.file), 0);
	EXPECT_EQ(dns_control_recover(p.c), ERR_STATE);
	EXPECT(strstr(dns_control_why(p.c), "symbolic link") && strstr(dns_control_why(p.c), target));
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_STATE);
	EXPECT_STR(text_at(target), ORIGINAL);
	EXPECT_EQ(read_servers(&p), 2); /* reading follows it */

	unlink(p.file);
	mkdir(p.file, 0755);
	EXPECT_EQ(dns_control_recover(p.c), ERR_STATE);
	rmdir(p.file);
	EXPECT(!is_there(p.backup));
	end(&p);
}

TEST(spec30_70_a_lost_backup_is_an_error)
{
	struct place p = make_place();

	write_text(p.file, DNS_CONTROL_MAGIC "\nnameserver 100.100.111.1\n");
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(dns_control_recover(p.c), ERR_NOT_FOUND);
	EXPECT(strstr(dns_control_why(p.c), "backup"));
	end(&p);
}

TEST(spec30_70_what_is_not_understood_is_fatal_and_untouched)
{
	static const char *const bad[] = { "nameserver 1.1.1.1\nnameserver example.org\n", "nameserver\n", "hello world\n" };

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct place p = make_place();
		write_text(p.file, bad[i]);
		start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
		EXPECT_EQ(dns_control_recover(p.c), 0);
		EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_MALFORMED);
		EXPECT(strstr(p.last.why, i == 0 ? "line 2" : "line 1"));
		EXPECT_STR(text_at(p.file), bad[i]);
		EXPECT(!is_there(p.backup));
		end(&p);
	}
}

TEST(spec30_70_without_resolvers_the_file_is_left_untouched)
{
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, NULL, NULL, NULL), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	EXPECT(!is_there(p.backup));
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	EXPECT_EQ(activate(&p, NULL, NULL, NULL), 0);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	end(&p);
}

TEST(spec30_70_a_backup_that_cannot_be_written_changes_nothing)
{
	struct place p = make_place();
	char tmp[192];

	snprintf(p.backup, sizeof(p.backup), "%s/nowhere/backup", p.dir);
	snprintf(tmp, sizeof(tmp), "%s/nowhere", p.dir);
	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_NOT_FOUND);
	EXPECT(strstr(p.last.why, "backup"));
	EXPECT_STR(text_at(p.file), ORIGINAL);
	end(&p);
}

TEST(spec30_70_system_resolvers_come_from_the_backup_while_active)
{
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	EXPECT_EQ(read_servers(&p), 2);
	EXPECT_EQ(p.last.servers[0].family, 4);
	EXPECT_EQ(p.last.servers[1].family, 6); /* the scope is dropped */
	EXPECT_EQ(p.last.servers[1].b[0], 0xfe);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	EXPECT_EQ(read_servers(&p), 2);
	EXPECT_EQ(p.last.servers[0].b[0], 192);
	end(&p);

	p = make_place();
	write_text(p.file, "nameserver 100.100.111.1\nnameserver 192.0.2.1\nnameserver 192.0.2.1\n");
	start(&p, DNS_CONTROL_DISABLED);
	EXPECT_EQ(read_servers(&p), 1); /* no sentinels, nobody twice */
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT(!is_there(p.backup));
	end(&p);
}

TEST(resolv_conf_of_ten_thousand_bytes_and_lines_without_end)
{
	static char text[20000], out[DNS_CONTROL_FILE_MAX];
	struct ip s = ip4(100, 100, 111, 1);
	unsigned line;
	size_t n, at = 0;

	while (at + 32 < 10000)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "# %060u\n", 7u);
	EXPECT_EQ(resolv_conf_render(SPAN(text, at), &s, 1, NULL, "/b", out, sizeof(out), &n, &line), 0);
	at += (size_t)snprintf(text + at, sizeof(text) - at, "sortlist 130.155.160.0/255.255.240.0\noptions rotate");
	EXPECT_EQ(resolv_conf_render(SPAN(text, at), &s, 1, NULL, "/b", out, sizeof(out), &n, &line), 0);
	EXPECT(n > 60 && memmem(out, n, "\noptions ndots:1 rotate\nsortlist 130.155.160.0/255.255.240.0\n", 61));
	bool is_edited = true;
	EXPECT(resolv_conf_is_ours(SPAN(out, n), &is_edited) && !is_edited);
	out[n - 2] ^= 1;
	EXPECT(resolv_conf_is_ours(SPAN(out, n), &is_edited) && is_edited);
	memset(text, '\n', 300);
	EXPECT_EQ(resolv_conf_render(SPAN(text, 300), &s, 1, NULL, "/b", out, sizeof(out), &n, &line), ERR_LIMIT);
	EXPECT_EQ(resolv_conf_render(SPAN("", 0), &s, 1, NULL, "/b", out, 64, &n, &line), ERR_LIMIT);
	EXPECT_EQ(resolv_conf_render(SPAN("", 0), &s, 1, NULL, "/b", out, 20, &n, &line), ERR_LIMIT);
}

/* --- systemd-resolved ------------------------------------------------------------------------------------------------------------------ */

TEST(spec30_69_resolvectl_dns_domain_llmnr)
{
	struct place p = make_place();

	make_tool(&p, "");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_EQ(activate(&p, "100.100.111.1", "fd00:2021:1111:8000:100:100:111:0", NULL), 0);
	EXPECT_STR(text_at(p.log), "dns tun-test 100.100.111.1 fd00:2021:1111:8000:100:100:111:0\ndomain tun-test ~.\nllmnr tun-test true\n");
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT_EQ(dns_control_stats(p.c)->commands, 3);
	EXPECT_STR(text_at(p.file), ORIGINAL);
	end(&p);
}

TEST(spec30_69_with_a_search_domain_there_is_no_catch_all)
{
	struct place p = make_place();

	make_tool(&p, "");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, "corp.example"), 0);
	EXPECT_STR(text_at(p.log), "dns tun-test 100.100.111.1\ndomain tun-test corp.example\nllmnr tun-test true\n");
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, "-x"), ERR_INVAL);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, "a b"), ERR_INVAL);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, "~."), ERR_INVAL);
	end(&p);
}

TEST(spec30_69_a_failing_resolvectl_is_fatal_and_quoted)
{
	struct place p = make_place();

	make_tool(&p, "[ $1 = domain ] && { echo 'Failed to set: Link not known' >&2; exit 3; }; exit 0");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_IO);
	EXPECT_STR(p.last.why, "resolvectl domain: exit status 3: Failed to set: Link not known");
	EXPECT_STR(text_at(p.log), "dns tun-test 100.100.111.1\ndomain tun-test ~.\n");
	end(&p);

	p = make_place();
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_NOT_FOUND);
	EXPECT(strstr(p.last.why, "no such program") && strstr(p.last.why, "--dns-control"));
	EXPECT_EQ(read_servers(&p), 0);
	end(&p);
}

TEST(spec30_69_resolvers_are_the_words_that_are_addresses)
{
	struct place p = make_place();

	make_tool(&p, "echo 'Global:'\necho 'Link 2 (eth0): 192.0.2.1 fe80::1%2 2001:db8::53 9.9.9.9#dns.quad9.net'\n"
		      "echo 'Link 7 (tun-test): 100.100.111.1 192.0.2.1'");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(read_servers(&p), 2);
	EXPECT_EQ(p.last.servers[0].b[3], 1);
	EXPECT_EQ(p.last.servers[1].family, 6);
	EXPECT_STR(text_at(p.log), "dns\n");
	make_tool(&p, "exit 1");
	EXPECT_EQ(read_servers(&p), 0);
	end(&p);
}

TEST(spec30_69_flush_caches)
{
	struct place p = make_place();

	make_tool(&p, "exit 1");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	dns_control_flush(p.c, sys_now());
	EXPECT(!wait_event(&p)); /* its status is ignored */
	EXPECT_STR(text_at(p.log), "flush-caches\n");
	unlink(p.tool);
	dns_control_flush(p.c, sys_now());
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_FAILED);
	end(&p);
}

TEST(spec30_69_without_sentinels_what_is_set_is_reverted)
{
	struct place p = make_place();

	make_tool(&p, "");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(activate(&p, NULL, NULL, NULL), 0);
	EXPECT(!is_there(p.log));
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	unlink(p.log);
	EXPECT_EQ(activate(&p, NULL, NULL, NULL), 0);
	EXPECT_STR(text_at(p.log), "revert tun-test\n");
	end(&p);
}

/* The loop goes on while a program runs; a newer wish drops what is left of an older one. */
TEST(spec30_69_a_newer_activation_overtakes)
{
	struct place p = make_place();
	struct ip a = ip4(100, 100, 111, 1), b = ip4(100, 100, 111, 2);

	make_tool(&p, "sleep 0.2");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(dns_control_activate(p.c, sys_now(), &a, 1, NULL), 0);
	EXPECT_EQ(dns_control_activate(p.c, sys_now(), &a, 1, "old.example"), 0);
	EXPECT_EQ(dns_control_activate(p.c, sys_now(), &b, 1, "new.example"), 0);
	dns_control_read(p.c, sys_now());
	EXPECT(!dns_control_poll_event(p.c, &p.last));
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_ACTIVE);
	EXPECT(wait_event(&p) && p.last.type == DNS_CONTROL_SERVERS);
	EXPECT(!wait_event(&p));
	EXPECT_STR(text_at(p.log), "dns tun-test 100.100.111.1\ndns tun-test 100.100.111.2\ndomain tun-test new.example\n"
				   "llmnr tun-test true\ndns\n");
	end(&p);
}

TEST(spec30_69_a_hanging_resolvectl_is_killed)
{
	struct place p = make_place();
	struct ip a = ip4(100, 100, 111, 1);
	const u64 now = sys_now();

	make_tool(&p, "echo waiting >&2; sleep 1000 & wait");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	EXPECT_EQ(dns_control_activate(p.c, now, &a, 1, NULL), 0);
	while (!is_there(p.log))
		usleep(1000);
	usleep(20000);
	dns_control_timeout(p.c, now + SEC(1));
	EXPECT(!dns_control_poll_event(p.c, &p.last));
	dns_control_timeout(p.c, now + DNS_CONTROL_COMMAND_LIMIT);
	EXPECT(dns_control_poll_event(p.c, &p.last));
	EXPECT_EQ(p.last.error, ERR_TIMEOUT);
	EXPECT(strstr(p.last.why, "killed"));
	EXPECT_EQ(dns_control_next_timeout(p.c), TIME_NEVER);
	EXPECT_EQ(dns_control_stats(p.c)->commands_killed, 1);
	end(&p);
}

/* A service script's daemon keeps the pipes open; much output does not stop the program. */
TEST(commands_that_leave_children_or_say_much)
{
	struct place p = make_place();

	make_tool(&p, "sleep 3 & i=0; while [ $i -lt 3000 ]; do echo 192.0.2.1 0123456789012345678901234567890123456789; "
		      "echo complaint >&2; i=$((i+1)); done");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	const u64 begin = sys_now();
	EXPECT_EQ(read_servers(&p), 1);
	EXPECT(sys_now() - begin < SEC(3));
	end(&p);
}

/* --- dnsmasq --------------------------------------------------------------------------------------------------------------------------- */

TEST(dnsmasq_drop_in_comes_and_goes_with_restarts)
{
	struct place p = make_place();
	char drop_in[160];

	snprintf(drop_in, sizeof(drop_in), "%s/" DNS_CONTROL_DROP_IN, p.conf_dir);
	make_tool(&p, "");
	start(&p, DNS_CONTROL_DNSMASQ);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT(!is_there(p.log));
	EXPECT_EQ(read_servers(&p), 2);
	EXPECT_EQ(activate(&p, "100.100.111.1", "fd00:2021:1111:8000:100:100:111:0", "corp.example"), 0);
	const char *text = text_at(drop_in);
	EXPECT(strstr(text, "\nno-resolv\nno-negcache\nserver=100.100.111.1\nserver=fd00:2021:1111:8000:100:100:111:0\n"));
	EXPECT_STR(text_at(p.log), "restart dnsmasq\n");
	EXPECT_EQ(activate(&p, "100.100.111.1", "fd00:2021:1111:8000:100:100:111:0", NULL), 0);
	EXPECT_STR(text_at(p.log), "restart dnsmasq\n"); /* nothing new */
	EXPECT_EQ(read_servers(&p), 2);
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT(!is_there(drop_in));
	EXPECT_STR(text_at(p.log), "restart dnsmasq\nrestart dnsmasq\n");
	EXPECT_EQ(dns_control_deactivate(p.c), 0);
	EXPECT_STR(text_at(p.log), "restart dnsmasq\nrestart dnsmasq\n");
	end(&p);
}

TEST(dnsmasq_drop_in_of_a_killed_run_is_removed)
{
	struct place p = make_place();
	char drop_in[160];

	snprintf(drop_in, sizeof(drop_in), "%s/" DNS_CONTROL_DROP_IN, p.conf_dir);
	make_tool(&p, "");
	start(&p, DNS_CONTROL_DNSMASQ);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), 0);
	killed(&p);
	EXPECT(is_there(drop_in));
	start(&p, DNS_CONTROL_DNSMASQ);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT(!is_there(drop_in));
	EXPECT_STR(text_at(p.log), "restart dnsmasq\nrestart dnsmasq\n");
	end(&p);
}

static bool set_immutable(const char *path, bool is_on)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), flags = 0;
	bool is_set = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;

	flags = is_on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	is_set = is_set && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
	close(fd);
	return is_set;
}

static unsigned n_damaged;
static void note_line(void *ctx, const char *line, size_t n)
{
	(void)ctx;
	n_damaged += memmem(line, n, "damaged", 7) != NULL;
}
static u64 log_wall(void *ctx)
{
	(void)ctx;
	return 0;
}

TEST(resolv_conf_that_is_immutable_is_an_error_but_not_damaged)
{
	struct log_sink sink = { note_line, log_wall, NULL, LOG_HUMAN, false }, none = { 0 };
	struct place p = make_place();

	start(&p, DNS_CONTROL_ETC_RESOLV_CONF);
	if (set_immutable(p.file, true)) { /* not as an ordinary user, nor on every file system */
		EXPECT_EQ(log_setup(&sink, "info", NULL), 0);
		EXPECT(activate(&p, "100.100.111.1", NULL, NULL) != 0);
		EXPECT(strstr(p.last.why, "cannot write") && strstr(p.last.why, p.file) && strstr(p.last.why, strerror(EPERM)));
		EXPECT_STR(text_at(p.file), ORIGINAL);
		EXPECT_EQ(n_damaged, 0);
		EXPECT_EQ(log_setup(&none, "off", NULL), 0);
		EXPECT(set_immutable(p.file, false));
	}
	end(&p);
}

TEST(dnsmasq_that_cannot_be_restarted_is_an_error)
{
	struct place p = make_place();

	make_tool(&p, "echo 'bad configuration' >&2; exit 1");
	start(&p, DNS_CONTROL_DNSMASQ);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_IO);
	EXPECT(strstr(p.last.why, "restart  dnsmasq: exit status 1: bad configuration"));
	end(&p);

	p = make_place();
	rmdir(p.conf_dir);
	start(&p, DNS_CONTROL_DNSMASQ);
	EXPECT_EQ(dns_control_recover(p.c), 0);
	EXPECT_EQ(activate(&p, "100.100.111.1", NULL, NULL), ERR_NOT_FOUND);
	EXPECT(strstr(p.last.why, "conf-dir"));
	end(&p);
}

TEST(dnsmasq_settings_of_openwrts_configuration)
{
	static const char text[] = "# auto-generated config file from /etc/config/dhcp\nconf-file=/etc/dnsmasq.conf\ndomain=lan\n"
				   "conf-dir = /tmp/dnsmasq.cfg01411c.d,*.conf\r\nresolv-file=/tmp/resolv.conf.d/resolv.conf.auto\nno-value\n"
				   "resolv-file=/second\nrelative=x\n";
	char out[DNSMASQ_PATH_MAX];

	EXPECT(dnsmasq_setting(SPAN_STR(text), "conf-dir", out));
	EXPECT_STR(out, "/tmp/dnsmasq.cfg01411c.d");
	EXPECT(dnsmasq_setting(SPAN_STR(text), "resolv-file", out));
	EXPECT_STR(out, "/tmp/resolv.conf.d/resolv.conf.auto");
	EXPECT(!dnsmasq_setting(SPAN_STR(text), "relative", out));
	EXPECT(!dnsmasq_setting(SPAN_STR(text), "no-value", out));
}

TEST(dns_control_names_and_default)
{
	EXPECT_STR(dns_control_method_name(DNS_CONTROL_ETC_RESOLV_CONF), "etc-resolv-conf");
	EXPECT_EQ(dns_control_default(), is_there("/etc/openwrt_release") ? DNS_CONTROL_DNSMASQ : DNS_CONTROL_SYSTEMD_RESOLVED);
}
