/* platform/dns_control.h with systemd-resolved and dnsmasq, which are told by programs: scripts in a folder of the test's own. */
#include "tests/unit/dns_control_place.h"

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

	make_tool(&p, "sleep 20 & i=0; while [ $i -lt 3000 ]; do echo 192.0.2.1 0123456789012345678901234567890123456789; "
		      "echo complaint >&2; i=$((i+1)); done");
	start(&p, DNS_CONTROL_SYSTEMD_RESOLVED);
	const u64 begin = sys_now();
	EXPECT_EQ(read_servers(&p), 1);
	EXPECT(sys_now() - begin < SEC(20));
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
