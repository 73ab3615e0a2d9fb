/* platform/dns_control.h in a folder of the test's own, with scripts in place of resolvectl and the service manager. */
#include "tests/unit/dns_control_place.h"

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
