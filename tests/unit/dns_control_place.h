/* tests/unit/dns_control_place.h: a folder with a resolv.conf, and scripts in place of resolvectl and the service manager. Private to the tests of
 * platform/dns_control.h; included once per program. */
#pragma once

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

static inline void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		test_fail(__FILE__, __LINE__, "cannot write %s", path);
}

/* Static: valid until the next call. "" when it is not there. */
static inline const char *text_at(const char *path)
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

static inline bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static inline struct place make_place(void)
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

static inline void start(struct place *p, enum dns_control_method method)
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
static inline void killed(struct place *p)
{
	dns_control_free(p->c);
	p->c = NULL;
}

static inline void end(struct place *p)
{
	char command[128];

	dns_control_free(p->c);
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	if (system(command))
		test_fail(__FILE__, __LINE__, "%s", command);
}

/* A program that notes its arguments and then runs `body`. */
static inline void make_tool(struct place *p, const char *body)
{
	char text[1024];

	snprintf(text, sizeof(text), "#!/bin/sh\necho \"$*\" >>%s\n%s\n", p->log, body);
	write_text(p->tool, text);
	chmod(p->tool, 0755);
}

/* Until an event is there and no program runs. */
static inline bool wait_event(struct place *p)
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

static inline int activate(struct place *p, const char *first, const char *second, const char *domain)
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

static inline size_t read_servers(struct place *p)
{
	dns_control_read(p->c, sys_now());
	if (!wait_event(p) || p->last.type != DNS_CONTROL_SERVERS)
		return 999;
	return p->last.n;
}
