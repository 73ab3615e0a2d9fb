/* tests/interop/dns_driver.c: system DNS control and news of the host by hand: dns_driver METHOD INTERFACE [DNSMASQ_DIR RESTART]
 *
 * Commands on standard input, a line each: `activate DOMAIN|- ADDRESS…`, `flush`, `refresh`, `quit`. Says `open`, `active`,
 * `failed WHY`, `servers ADDRESS…`, `network`, and its log. SIGKILL is part of the tests.
 */
#define LOG_TARGET "driver"
#include "applets/client/settings.h"
#include "applets/client/system_dns.h"
#include "core/base/log.h"
#include "platform/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES_MAX 8u

struct driver {
	struct loop *loop;
	struct system_dns dns;
	char line[4096];
	size_t n;
};

static void on_active(void *ctx, int rc, const char *why)
{
	(void)ctx;
	if (rc)
		printf("failed %s\n", why);
	else
		printf("active\n");
}

static void on_servers(void *ctx, const struct ip *servers, size_t n)
{
	char text[IP_STRLEN];

	(void)ctx;
	printf("servers");
	for (size_t i = 0; i < n; i++)
		printf(" %s", ip_format(&servers[i], text));
	printf("\n");
}

static void on_network(void *ctx)
{
	(void)ctx;
	printf("network\n");
}

static void activate(struct driver *d, char *words)
{
	struct ip addresses[ADDRESSES_MAX];
	char *rest = NULL, *domain = strtok_r(words, " ", &rest);
	size_t n = 0;

	for (char *w = strtok_r(NULL, " ", &rest); w && n < ADDRESSES_MAX; w = strtok_r(NULL, " ", &rest))
		if (ip_parse(SPAN(w, strlen(w)), &addresses[n]) == 0)
			n++;
	if (system_dns_activate(&d->dns, addresses, n, domain && strcmp(domain, "-") != 0 ? domain : NULL))
		printf("refused %s\n", dns_control_why(d->dns.control));
}

static void obey(struct driver *d, char *line)
{
	if (strncmp(line, "activate ", 9) == 0)
		activate(d, line + 9);
	else if (strcmp(line, "flush") == 0)
		system_dns_flush(&d->dns);
	else if (strcmp(line, "refresh") == 0)
		system_dns_refresh(&d->dns);
	else
		loop_stop(d->loop);
}

static void readable(void *ctx, int fd, unsigned events, u64 now)
{
	struct driver *d = ctx;
	ssize_t n = read(fd, d->line + d->n, sizeof(d->line) - 1 - d->n);

	(void)events;
	(void)now;
	if (n <= 0) {
		loop_stop(d->loop);
		return;
	}
	d->n += (size_t)n;
	d->line[d->n] = '\0';
	for (char *end = strchr(d->line, '\n'); end; end = strchr(d->line, '\n')) {
		*end = '\0';
		obey(d, d->line);
		d->n -= (size_t)(end + 1 - d->line);
		memmove(d->line, end + 1, d->n + 1);
	}
}

static int method_of(const char *name)
{
	for (int m = DNS_CONTROL_DISABLED; m <= DNS_CONTROL_DNSMASQ; m++)
		if (strcmp(dns_control_method_name((enum dns_control_method)m), name) == 0)
			return m;
	return -1;
}

int main(int argc, char **argv)
{
	static struct driver d;
	const struct system_dns_callbacks cb = { on_active, on_servers, on_network };
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	char why[DNS_CONTROL_WHY_BYTES];
	struct log_sink sink;
	const char *bad;
	int method = argc > 2 ? method_of(argv[1]) : -1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (method < 0 || fcntl(0, F_SETFL, O_NONBLOCK)) {
		fprintf(stderr, "usage: dns_driver METHOD INTERFACE [DNSMASQ_DIR RESTART]\n");
		return 2;
	}
	sys_log_sink(&sink, 1, LOG_HUMAN);
	d.loop = loop_new(&clock);
	if (!d.loop || log_setup(&sink, "debug", &bad))
		return 2;
	struct dns_control_config cfg = {
		.method = (enum dns_control_method)method,
		.interface = argv[2],
		.paths = { .dnsmasq_dir = argc > 3 ? argv[3] : NULL, .dnsmasq_restart = argc > 4 ? argv[4] : NULL },
	};
	if (system_dns_open(&d.dns, d.loop, &cfg, &cb, &d, why)) {
		printf("cannot open: %s\n", why);
		return 1;
	}
	if (sys_drop_privileges(SYS_KEEP_NET_ADMIN, NULL)) /* as the client does */
		return 2;
	struct loop_fd *in = loop_fd_add(d.loop, 0, LOOP_READ, readable, &d);
	printf("open\n");
	loop_run(d.loop);
	loop_fd_del(in);
	system_dns_close(&d.dns);
	loop_free(d.loop);
	printf("closed\n");
	return 0;
}
