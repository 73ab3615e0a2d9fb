/* Peers for a portal that portal_fill made, thousands in one program; FILE is what that printed.
 *
 *	portal_load change PORT FILE DIR [ROUNDS]   the crowd's policy is disabled and enabled again while the crowd is connected: milliseconds until
 *	                                            the last of them was told, minimum, median, maximum
 *	portal_load storm PORT FILE N               N clients at once, as after a restart: connects per second, until each has its `init`
 *	portal_load flows PORT FILE N FLOWS         N clients stay connected; FLOWS flows are asked for, one after another, by clients at random;
 *	                                            microseconds from the question to `flow_created`: median, 99th percentile, maximum
 *	portal_load hold PORT FILE N [CERT]         N clients (through TLS) stay connected until stdin ends; says "connected N" when they are
 *	portal_load page PORT SECONDS PATH [FIELD]… a page, PAGES_PER_SEC on new connections: status, microseconds as above
 *	portal_load works PORT TIMES [FIELD]…       each page whose path is a line of stdin, TIMES: what of one callback of the portal was most work,
 *	                                            microseconds, the first time, median and maximum; status, bytes, path
 *
 * A client counts as connected when it has its `init`; of its frames the beginning is kept, which names the event. */
#include "applets/portal/admin/admin.h"
#include "core/base/encode.h"
#include "core/http/tls.h"
#include "platform/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PEERS 65536u
#define CROWD 1000u
#define WINDOW 500u /* connecting at the same time: a queue of the kernel must hold them */
#define TEXT_MAX 600u
#define OUT_MAX 2048u
#define PATIENCE SEC(60)
#define PAGES_PER_SEC 50u

enum event { EV_NONE, EV_INIT, EV_FLOW_CREATED, EV_FLOW_FAILED, EV_AUTHORIZE, EV_RESOURCE, EV_COUNT };

static const char *const event_names[EV_COUNT] = {
	[EV_NONE] = "", [EV_INIT] = "init", [EV_FLOW_CREATED] = "flow_created", [EV_FLOW_FAILED] = "flow_creation_failed",
	[EV_AUTHORIZE] = "authorize_flow", [EV_RESOURCE] = "resource_",
};

struct known {
	char token[300], external_id[40], resource[40];
	bool is_gateway;
};

struct conn {
	const struct known *who;
	int fd;
	struct tls *tls;
	bool is_upgraded, is_dead;
	u32 n_events[EV_COUNT];
	/* the frame that is being read */
	u8 head[10];
	u32 n_head;
	u64 left;
	u32 n_text;
	char text[TEXT_MAX + 1];
	u32 n_out;
	u8 out[OUT_MAX];
};

static struct known *known;
static u32 n_known;
static char policy[40];
static struct conn *conns;
static u32 n_conns, totals[EV_COUNT], n_dead;
static int epoll_fd;
static u16 port;
static struct tls_anchors *anchors;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "portal_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_known_peers(const char *path)
{
	FILE *f = fopen(path, "r");
	char kind[16], line[512];

	known = calloc(PEERS, sizeof(*known));
	conns = calloc(PEERS, sizeof(*conns));
	if (!f || !known || !conns)
		die(path);
	while (fgets(line, sizeof(line), f) && n_known < PEERS) {
		struct known *x = &known[n_known];
		int n = sscanf(line, "%15s %299s %39s %39s", kind, x->token, x->external_id, x->resource);
		x->is_gateway = strcmp(kind, "gateway") == 0;
		if (strcmp(kind, "policy") == 0)
			snprintf(policy, sizeof(policy), "%.39s", x->token);
		else
			n_known += n >= 3;
	}
	fclose(f);
}

/* --- a connection --- */

static void watch(struct conn *c, u32 events, int how)
{
	struct epoll_event e = { .events = events, .data.u32 = (u32)(c - conns) };

	if (epoll_ctl(epoll_fd, how, c->fd, &e) != 0)
		die("epoll");
}

static void drop(struct conn *c)
{
	if (c->is_dead)
		return;
	c->is_dead = true;
	n_dead++;
	close(c->fd);
	tls_free(c->tls);
}

static bool send_raw(struct conn *c, const u8 *p, size_t n)
{
	return send(c->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n; /* small against the socket's buffer */
}

static void flush(struct conn *c)
{
	if (c->tls) {
		struct span cipher;
		size_t n = c->n_out > 0 ? tls_write(c->tls, SPAN(c->out, c->n_out)) : 0;
		c->n_out -= (u32)n;
		memmove(c->out, c->out + n, c->n_out);
		while ((cipher = tls_output(c->tls)).n > 0) {
			if (!send_raw(c, cipher.p, cipher.n)) {
				drop(c);
				return;
			}
			tls_output_done(c->tls, cipher.n);
		}
	} else if (c->n_out > 0) {
		if (!send_raw(c, c->out, c->n_out))
			drop(c);
		c->n_out = 0;
	}
}

static void put(struct conn *c, const void *p, size_t n)
{
	if (c->n_out + n > sizeof(c->out))
		die("output does not fit");
	memcpy(c->out + c->n_out, p, n);
	c->n_out += (u32)n;
}

/* One masked text frame; the mask is zero. */
static void say(struct conn *c, const char *text)
{
	size_t n = strlen(text);
	u8 head[8] = { 0x81, (u8)(0x80 | (n < 126 ? n : 126)) };
	size_t at = 2;

	if (n >= 126) {
		put_be16(head + 2, (u16)n);
		at = 4;
	}
	put(c, head, at + 4);
	put(c, text, n);
	flush(c);
}

static void ask_upgrade(struct conn *c)
{
	char request[1200], key64[64], escaped[140];
	u8 key[32] = { 0 };
	size_t n = 0;

	put_be32(key, (u32)(c->who - known) + 1);
	base64_encode(key64, sizeof(key64), SPAN(key, sizeof(key)));
	for (const char *p = key64; *p; p++)
		n += (size_t)snprintf(escaped + n, sizeof(escaped) - n, strchr("+/=", *p) ? "%%%02X" : "%c", *p);
	int len = snprintf(request, sizeof(request),
		"GET /%s/websocket?vsn=1.0.0&external_id=%s&name=%s&public_key=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"x-authorization: Bearer %s\r\nuser-agent: Debian/12.0.0 %s (x86_64)\r\n\r\n",
		c->who->is_gateway ? "gateway" : "client", c->who->external_id, c->who->external_id, escaped, c->who->token,
		c->who->is_gateway ? "gateway/1.5.2" : "headless-client/1.5.8");
	put(c, request, (size_t)len);
	flush(c);
}

static void connect_one(const struct known *who)
{
	struct conn *c = &conns[n_conns++];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	*c = (struct conn){ .who = who, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
		die("connect");
	if (anchors && tls_client_new(anchors, "127.0.0.1", sys_wall() / NSEC_PER_SEC, sys_rng(), &c->tls) != 0)
		die("tls");
	watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void answer_gateway(struct conn *c)
{
	char reply[400], *ref = strstr(c->text, "\"ref\":\""), *end = ref ? strchr(ref + 7, '"') : NULL;

	if (!end)
		return;
	snprintf(reply, sizeof(reply), "{\"topic\":\"gateway\",\"event\":\"flow_authorized\",\"payload\":{\"ref\":\"%.*s\"},\"ref\":9}",
		(int)(end - ref - 7), ref + 7);
	say(c, reply);
}

static void on_text(struct conn *c)
{
	c->text[c->n_text] = '\0';
	const char *event = strstr(c->text, "\"event\":\"");
	if (!event)
		return;
	for (enum event e = EV_INIT; e < EV_COUNT; e++)
		if (strncmp(event + 9, event_names[e], strlen(event_names[e])) == 0) {
			c->n_events[e]++;
			totals[e]++;
			if (e == EV_AUTHORIZE)
				answer_gateway(c);
			return;
		}
}

static u32 head_len(const struct conn *c)
{
	return c->n_head < 2 ? 2 : (c->head[1] & 127) == 126 ? 4 : (c->head[1] & 127) == 127 ? 10 : 2;
}

/* Frames of a server, which are not masked. */
static void frames_in(struct conn *c, const u8 *p, size_t n)
{
	while (n > 0 && !c->is_dead) {
		if (c->left == 0 && c->n_head < head_len(c)) {
			c->head[c->n_head++] = *p++;
			n--;
			if (c->n_head < head_len(c))
				continue;
			u8 len = c->head[1] & 127;
			c->left = len == 126 ? get_be16(c->head + 2) : len == 127 ? get_be64(c->head + 2) : len;
			c->n_text = 0;
		}
		size_t part = MIN((u64)n, c->left), kept = MIN(part, (size_t)(TEXT_MAX - c->n_text));
		memcpy(c->text + c->n_text, p, kept);
		c->n_text += (u32)kept;
		p += part;
		n -= part;
		c->left -= part;
		if (c->left > 0)
			continue;
		if ((c->head[0] & 15) == 1)
			on_text(c);
		else if ((c->head[0] & 15) == 8)
			drop(c);
		c->n_head = 0;
	}
}

static void plain_in(struct conn *c, const u8 *p, size_t n)
{
	if (c->is_upgraded) {
		frames_in(c, p, n);
		return;
	}
	size_t part = MIN(n, (size_t)(TEXT_MAX - c->n_text));
	memcpy(c->text + c->n_text, p, part);
	c->n_text += (u32)part;
	c->text[c->n_text] = '\0';
	const char *end = strstr(c->text, "\r\n\r\n");
	if (!end)
		return;
	if (strncmp(c->text, "HTTP/1.1 101", 12) != 0) {
		fprintf(stderr, "portal_load: %s\n", c->text);
		exit(1);
	}
	c->is_upgraded = true;
	c->n_text = 0;
	say(c, c->who->is_gateway ? "{\"topic\":\"gateway\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}" :
				    "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
}

static void tls_in(struct conn *c, const u8 *p, size_t n)
{
	while (n > 0 && !c->is_dead) {
		size_t used = 0;
		struct span plain;
		if (tls_input(c->tls, SPAN(p, n), &used) != 0) {
			fprintf(stderr, "portal_load: %s\n", tls_reason(c->tls));
			exit(1);
		}
		p += used;
		n -= used;
		while (!c->is_dead && (plain = tls_read(c->tls)).n > 0) {
			u8 copy[4096];
			size_t part = MIN(plain.n, sizeof(copy));
			memcpy(copy, plain.p, part);
			tls_read_done(c->tls, part);
			plain_in(c, copy, part);
		}
		if (!c->is_dead)
			flush(c);
		if (used == 0 && tls_read(c->tls).n == 0)
			break;
	}
}

static void on_ready(struct conn *c, u32 events)
{
	static u8 buf[65536];

	if (c->is_dead)
		return;
	if (events & EPOLLOUT) {
		watch(c, EPOLLIN, EPOLL_CTL_MOD);
		ask_upgrade(c);
	}
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		return;
	ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		drop(c);
	else if (n > 0 && c->tls)
		tls_in(c, buf, (size_t)n);
	else if (n > 0)
		plain_in(c, buf, (size_t)n);
}

static void pump(int timeout_ms)
{
	struct epoll_event ready[256];
	int n = epoll_wait(epoll_fd, ready, ARRAY_LEN(ready), timeout_ms);

	for (int i = 0; i < n; i++)
		on_ready(&conns[ready[i].data.u32], ready[i].events);
}

static void pump_until(const u32 *count, u32 goal, const char *what)
{
	u64 end = sys_now() + PATIENCE;

	while (*count < goal) {
		if (sys_now() > end || n_dead > 0) {
			fprintf(stderr, "portal_load: %s: %u of %u, %u connections lost\n", what, *count, goal, n_dead);
			exit(1);
		}
		pump(100);
	}
}

/* Clients `from` to `to` of the file, each until it has its init. */
static void connect_clients(u32 from, u32 to)
{
	u32 goal = totals[EV_INIT] + to - from, began = totals[EV_INIT];
	u64 end = sys_now() + PATIENCE;

	for (u32 i = from; i < to;) {
		if (i - from - (totals[EV_INIT] - began) < WINDOW)
			connect_one(&known[1 + i++]);
		else
			pump(100);
		if (sys_now() > end || n_dead > 0)
			break;
	}
	pump_until(&totals[EV_INIT], goal, "connected");
}

static void connect_gateway(void)
{
	u32 goal = totals[EV_INIT] + 1;

	connect_one(&known[0]);
	pump_until(&totals[EV_INIT], goal, "gateway connected");
}

/* --- figures --- */

static int by_size(const void *a, const void *b)
{
	const u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* --- what is measured --- */

static int admin_connect(const char *dir)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/admin.sock", dir);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		die(sa.sun_path);
	return fd;
}

static u32 change_once(const char *dir, const char *verb)
{
	static u8 buf[ADMIN_REQUEST_MAX];
	struct admin_request rq = { .noun = "policy", .verb = verb, .n_fields = 1, .field = { { "target", policy } } };
	struct wr w = wr_init(buf, sizeof(buf));
	int fd = admin_connect(dir);
	u32 goal = totals[EV_RESOURCE] + CROWD;

	if (admin_encode_request(&rq, &w) != 0)
		die("request");
	u64 began = sys_now();
	if (send(fd, buf, wr_len(&w), MSG_NOSIGNAL) != (ssize_t)wr_len(&w))
		die("admin socket");
	pump_until(&totals[EV_RESOURCE], goal, verb);
	u32 took = (u32)((sys_now() - began) / 1000);
	if (recv(fd, buf, 5, MSG_WAITALL) != 5 || buf[4] != 0)
		die(verb);
	close(fd);
	return took;
}

static int change(const char *dir, u32 rounds)
{
	u32 *took = calloc(2 * (size_t)rounds, sizeof(*took));

	connect_clients(0, CROWD);
	for (u32 i = 0; i < 2 * rounds; i++)
		took[i] = change_once(dir, i % 2 ? "enable" : "disable");
	qsort(took, 2 * rounds, sizeof(*took), by_size);
	printf("%u.%u %u.%u %u.%u\n", took[0] / 1000, took[0] / 100 % 10, took[rounds] / 1000, took[rounds] / 100 % 10,
		took[2 * rounds - 1] / 1000, took[2 * rounds - 1] / 100 % 10);
	free(took);
	return 0;
}

static int storm(u32 n)
{
	u64 began = sys_now();

	connect_clients(0, n);
	printf("%llu\n", (unsigned long long)((u64)n * NSEC_PER_SEC / (sys_now() - began)));
	return 0;
}

static int flows(u32 n, u32 n_flows)
{
	u32 *took = calloc(n_flows, sizeof(*took));
	char question[200];

	connect_gateway();
	u32 first = n_conns;
	connect_clients(0, n);
	for (u32 i = 0; i < n_flows; i++) {
		struct conn *c = &conns[first + (u32)rng_below(sys_rng(), n)];
		u32 goal = totals[EV_FLOW_CREATED] + 1;
		snprintf(question, sizeof(question),
			"{\"topic\":\"client\",\"event\":\"create_flow\",\"payload\":{\"resource_id\":\"%s\",\"connected_gateway_ids\":[]},\"ref\":1}",
			c->who->resource);
		u64 began = sys_now();
		say(c, question);
		while (totals[EV_FLOW_CREATED] < goal && totals[EV_FLOW_FAILED] == 0 && n_dead == 0 && sys_now() - began < PATIENCE)
			pump(100);
		if (totals[EV_FLOW_CREATED] < goal) {
			fprintf(stderr, "portal_load: flow %u: %s\n", i, c->text);
			return 1;
		}
		took[i] = (u32)((sys_now() - began) / 1000);
	}
	qsort(took, n_flows, sizeof(*took), by_size);
	printf("%u %u %u\n", took[n_flows / 2], took[(u64)n_flows * 99 / 100], took[n_flows - 1]);
	free(took);
	return 0;
}

static int hold(u32 n)
{
	char c;

	connect_clients(0, n);
	printf("connected %u\n", n);
	fflush(stdout);
	return read(STDIN_FILENO, &c, 1) < 0;
}

/* What was answered is in `buf` to its end, of which *n_bytes came. */
static u32 fetch_into(char *buf, size_t size, size_t *n_bytes, const char *request, size_t len, u32 *status)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	u64 began = sys_now();

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("page");
	ssize_t n = recv(fd, buf, size - 1, 0);
	if (n > 12)
		*status = (u32)strtoul(buf + 9, NULL, 10);
	for (*n_bytes = 0; n > 0; n = recv(fd, buf + MIN(*n_bytes, size - 1), size - 1 - MIN(*n_bytes, size - 1), 0))
		*n_bytes += (size_t)n;
	buf[MIN(*n_bytes, size - 1)] = '\0';
	close(fd);
	return (u32)((sys_now() - began) / 1000);
}

#define REQUEST_MAX 8192u
#define ANSWER_MAX (4u << 20)

static char answer[ANSWER_MAX];

static size_t make_request(char out[static REQUEST_MAX], const char *path, char **fields, int n_fields)
{
	size_t len = (size_t)snprintf(out, REQUEST_MAX, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n", path);

	for (int i = 0; i < n_fields; i++)
		len += (size_t)snprintf(out + len, REQUEST_MAX - len, "%s\r\n", fields[i]);
	return len + (size_t)snprintf(out + len, REQUEST_MAX - len, "\r\n");
}

static u32 fetch(const char *request, size_t len, u32 *status)
{
	size_t n_bytes;

	return fetch_into(answer, sizeof(answer), &n_bytes, request, len, status);
}

static u32 work_since(void)
{
	char request[REQUEST_MAX];
	u32 status = 0;

	(void)fetch(request, make_request(request, "/metrics", NULL, 0), &status);
	const char *at = strstr(answer, "\nemberbox_portal_loop_callback_longest_work_seconds ");
	return at ? (u32)(strtod(strchr(at + 1, ' '), NULL) * 1e6) : 0;
}

static int works(u32 n, char **fields, int n_fields)
{
	char request[REQUEST_MAX], path[2048];
	u32 *worked = calloc(n, sizeof(*worked));

	while (worked && n > 0 && fgets(path, sizeof(path), stdin)) {
		size_t n_bytes = 0;
		u32 status = 0;

		path[strcspn(path, "\n")] = '\0';
		size_t len = make_request(request, path, fields, n_fields);
		(void)work_since();
		for (u32 i = 0; i < n; i++) {
			(void)fetch_into(answer, sizeof(answer), &n_bytes, request, len, &status);
			worked[i] = work_since();
		}
		u32 first = worked[0];
		qsort(worked, n, sizeof(*worked), by_size);
		printf("%u %u %u %u %zu %s\n", first, worked[n / 2], worked[n - 1], status, n_bytes, path);
		fflush(stdout);
	}
	free(worked);
	return 0;
}

static int page(u32 secs, char **fields, int n_fields)
{
	char request[REQUEST_MAX];
	size_t len = make_request(request, fields[0], fields + 1, n_fields - 1);
	u32 n = secs * PAGES_PER_SEC, status = 0, *took = calloc(n, sizeof(*took));

	for (u32 i = 0; i < n; i++) {
		took[i] = fetch(request, len, &status);
		usleep(1000000 / PAGES_PER_SEC);
	}
	qsort(took, n, sizeof(*took), by_size);
	printf("%u %u %u %u\n", status, took[n / 2], took[(u64)n * 99 / 100], took[n - 1]);
	free(took);
	return 0;
}

static void trust(const char *path)
{
	static u8 pem[16384];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(pem, 1, sizeof(pem), f) : 0;

	if (n == 0 || tls_anchors_new(SPAN(pem, n), &anchors, NULL) != 0)
		die(path);
	fclose(f);
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	port = argc > 2 ? (u16)strtoul(argv[2], NULL, 10) : 0;
	if (strcmp(what, "works") == 0)
		return works((u32)strtoul(argv[3], NULL, 10), argv + 4, argc - 4);
	if (strcmp(what, "page") == 0 && argc > 4)
		return page((u32)strtoul(argv[3], NULL, 10), argv + 4, argc - 4);
	(void)sys_limit_files(PEERS);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (argc > 4)
		read_known_peers(argv[3]);
	u32 n = argc > 4 ? (u32)strtoul(argv[4], NULL, 10) : 0;
	if (n >= n_known && n > 0)
		die("too few clients in the file");
	if (strcmp(what, "change") == 0 && argc > 4)
		return change(argv[4], argc > 5 ? (u32)strtoul(argv[5], NULL, 10) : 5);
	if (strcmp(what, "storm") == 0 && argc > 4)
		return storm(n);
	if (strcmp(what, "flows") == 0 && argc > 5)
		return flows(n, (u32)strtoul(argv[5], NULL, 10));
	if (strcmp(what, "hold") == 0 && argc > 4) {
		if (argc > 5)
			trust(argv[5]);
		return hold(n);
	}
	fprintf(stderr, "usage: portal_load change|storm|flows|hold|page|works PORT …: see the head of its source\n");
	return 2;
}
