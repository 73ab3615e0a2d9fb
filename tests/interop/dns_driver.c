/* tests/interop/dns_driver.c: system DNS control and news of the host by hand: dns_driver METHOD INTERFACE [DNSMASQ_DIR RESTART]
 *
 * Commands on standard input, a line each: `activate DOMAIN|- ADDRESS…`, `flush`, `refresh`, `quit`. Says `open`, `active`,
 * `failed WHY`, `servers ADDRESS…` (when they are others), `network`, and its log. SIGKILL is part of the tests.
 */
#define LOG_TARGET "driver"
#include "core/base/log.h"
#include "platform/dns_control.h"
#include "platform/host_news.h"
#include "platform/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES_MAX 8u
#define LINE_BYTES 4096u

struct driver {
	struct dns_control *control;
	struct host_news *news;
	char said[1024]; /* the last `servers` line */
	char line[LINE_BYTES];
	size_t n;
	bool is_over;
};

static void tell_servers(struct driver *d, const struct dns_control_event *e)
{
	char text[IP_STRLEN], line[sizeof(d->said)] = "servers";

	for (size_t i = 0; i < e->n && strlen(line) + IP_STRLEN + 1 < sizeof(line); i++)
		strcat(strcat(line, " "), ip_format(&e->servers[i], text));
	if (strcmp(line, d->said) != 0)
		printf("%s\n", strcpy(d->said, line));
}

static void tell_events(struct driver *d)
{
	enum host_news_event news;
	struct dns_control_event e;

	while (host_news_poll_event(d->news, &news)) {
		if (news == HOST_NEWS_DNS)
			dns_control_read(d->control, sys_now());
		else
			printf("network\n");
	}
	while (dns_control_poll_event(d->control, &e)) {
		if (e.type == DNS_CONTROL_SERVERS)
			tell_servers(d, &e);
		else if (e.type == DNS_CONTROL_FAILED)
			printf("failed %s\n", e.why);
		else
			printf("active\n");
	}
}

static void activate(struct driver *d, char *words)
{
	struct ip addresses[ADDRESSES_MAX];
	char *rest = NULL, *domain = strtok_r(words, " ", &rest);
	size_t n = 0;

	for (char *w = strtok_r(NULL, " ", &rest); w && n < ADDRESSES_MAX; w = strtok_r(NULL, " ", &rest))
		if (ip_parse(SPAN(w, strlen(w)), &addresses[n]) == 0)
			n++;
	if (dns_control_activate(d->control, sys_now(), addresses, n, domain && strcmp(domain, "-") != 0 ? domain : NULL))
		printf("refused %s\n", dns_control_why(d->control));
}

static void obey(struct driver *d, char *line)
{
	if (strncmp(line, "activate ", 9) == 0)
		activate(d, line + 9);
	else if (strcmp(line, "flush") == 0)
		dns_control_flush(d->control, sys_now());
	else if (strcmp(line, "refresh") == 0)
		dns_control_read(d->control, sys_now());
	else
		d->is_over = true;
}

static void listen_to(struct driver *d)
{
	ssize_t n = read(0, d->line + d->n, LINE_BYTES - 1 - d->n);

	if (n <= 0) {
		d->is_over = true;
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

static void turn(struct driver *d)
{
	struct pollfd fds[] = { { 0, POLLIN, 0 }, { dns_control_fd(d->control), POLLIN, 0 }, { host_news_fd(d->news), POLLIN, 0 } };
	u64 now = sys_now(), due = time_min(dns_control_next_timeout(d->control), host_news_next_timeout(d->news));

	poll(fds, ARRAY_LEN(fds), due == TIME_NEVER ? -1 : (int)(time_since(due, now) / MSEC(1)) + 1);
	if (fds[0].revents)
		listen_to(d);
	now = sys_now();
	if (fds[1].revents)
		dns_control_input(d->control, now);
	if (fds[2].revents)
		host_news_input(d->news, now);
	if (now >= dns_control_next_timeout(d->control))
		dns_control_timeout(d->control, now);
	if (now >= host_news_next_timeout(d->news))
		host_news_timeout(d->news, now);
	tell_events(d);
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
	struct host_news_config news = { .has_resolved = false };
	const char *files[DNS_CONTROL_FILES_MAX], *bad;
	struct log_sink sink;
	int method = argc > 2 ? method_of(argv[1]) : -1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (method < 0 || fcntl(0, F_SETFL, O_NONBLOCK)) {
		fprintf(stderr, "usage: dns_driver METHOD INTERFACE [DNSMASQ_DIR RESTART]\n");
		return 2;
	}
	sys_log_sink(&sink, 1, LOG_HUMAN);
	struct dns_control_config cfg = {
		.method = (enum dns_control_method)method,
		.interface = argv[2],
		.paths = { .dnsmasq_dir = argc > 3 ? argv[3] : NULL, .dnsmasq_restart = argc > 4 ? argv[4] : NULL },
	};
	d.control = dns_control_new(&cfg);
	if (!d.control || log_setup(&sink, "debug", &bad))
		return 2;
	if (dns_control_recover(d.control)) {
		printf("cannot open: %s\n", dns_control_why(d.control));
		return 1;
	}
	news.has_resolved = cfg.method == DNS_CONTROL_SYSTEMD_RESOLVED;
	size_t n = dns_control_files(d.control, files);
	for (size_t i = 0; i < n; i++)
		news.files[i] = files[i];
	d.news = host_news_new(&news, sys_now());
	if (!d.news || sys_drop_privileges(SYS_KEEP_NET_ADMIN, NULL)) /* as the client does */
		return 2;
	printf("open\n");
	dns_control_read(d.control, sys_now());
	while (!d.is_over)
		turn(&d);
	dns_control_deactivate(d.control);
	dns_control_free(d.control);
	host_news_free(d.news);
	printf("closed\n");
	return 0;
}
