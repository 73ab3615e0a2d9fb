#include "platform/resolver.h"

#include "core/base/err.h"
#include "platform/linux/resolver_wire.h"
#include "platform/linux/sockaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536u
#define ANSWER_BYTES_MAX 4096u
#define READS_PER_INPUT 64u

/* [idle] ─ start ─▶ [asking] ─ enough answers, grace or timeout ─▶ [done] ─ polled ─▶ [idle] */
enum lookup_state { LOOKUP_IDLE, LOOKUP_ASKING, LOOKUP_DONE };

struct lookup {
	enum lookup_state state;
	struct resolver_answer answer;
	u8 name[DNS_NAME_MAX];
	size_t name_len;
	u16 txid[2]; /* A, AAAA */
	int fd[2];   /* towards IPv4 and IPv6 servers, -1 = none */
	struct ip servers[RESOLVER_SERVERS_MAX];
	size_t n_servers;
	u8 answered[RESOLVER_SERVERS_MAX]; /* bit 0: A, bit 1: AAAA */
	u64 resend_at, grace_at, deadline;
};

struct resolver {
	struct rng *rng;
	u32 mark;
	u16 port;
	char resolv_conf[PATH_MAX], hosts[PATH_MAX];
	struct ip servers[RESOLVER_SERVERS_MAX];
	size_t n_servers; /* 0: resolv.conf's */
	int epoll_fd;
	u64 next_id;
	struct lookup lookups[RESOLVER_LOOKUPS_MAX];
};

static const u16 types[2] = { DNS_TYPE_A, DNS_TYPE_AAAA };

struct resolver *resolver_new(const struct resolver_config *cfg)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->rng = cfg->rng;
	r->mark = cfg->mark;
	r->port = cfg->port ? cfg->port : 53;
	snprintf(r->resolv_conf, sizeof(r->resolv_conf), "%s", cfg->resolv_conf ? cfg->resolv_conf : "/etc/resolv.conf");
	snprintf(r->hosts, sizeof(r->hosts), "%s", cfg->hosts ? cfg->hosts : "/etc/hosts");
	r->next_id = 1;
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0) {
		free(r);
		return NULL;
	}
	return r;
}

static void close_sockets(struct lookup *l)
{
	for (unsigned i = 0; i < 2; i++) {
		if (l->fd[i] >= 0)
			close(l->fd[i]);
		l->fd[i] = -1;
	}
}

static void forget(struct lookup *l)
{
	if (l->state == LOOKUP_ASKING)
		close_sockets(l);
	l->state = LOOKUP_IDLE;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++)
		forget(&r->lookups[i]);
	close(r->epoll_fd);
	free(r);
}

void resolver_set_servers(struct resolver *r, const struct ip *servers, size_t n)
{
	r->n_servers = MIN(n, (size_t)RESOLVER_SERVERS_MAX);
	memcpy(r->servers, servers, r->n_servers * sizeof(*servers));
}

/* --- asking -------------------------------------------------------------------------------------------------------------------- */

/* The file's text, to be freed; empty when it cannot be read, which is no error for a stub. */
static struct span read_text(const char *path)
{
	u8 *text = malloc(FILE_BYTES_MAX);
	int fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	size_t n = 0;
	ssize_t got;

	if (fd >= 0) {
		while (n < FILE_BYTES_MAX && (got = read(fd, text + n, FILE_BYTES_MAX - n)) > 0)
			n += (size_t)got;
		close(fd);
	}
	return SPAN(text, n);
}

static void finish(struct lookup *l, int error)
{
	close_sockets(l);
	l->state = LOOKUP_DONE;
	l->answer.error = l->answer.count ? 0 : error;
}

static int open_socket(struct resolver *r, u8 family)
{
	int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event ev = { .events = EPOLLIN };

	if (fd < 0)
		return -1;
	if (r->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &r->mark, sizeof(r->mark)) && errno != EPERM)
		goto fail;
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		goto fail;
	return fd;
fail:
	close(fd);
	return -1;
}

static void send_questions(struct resolver *r, struct lookup *l)
{
	u8 query[DNS_QUERY_MAX];

	for (size_t s = 0; s < l->n_servers; s++) {
		struct endpoint to = { l->servers[s], r->port };
		union sockaddr_any sa;
		socklen_t sa_len = sockaddr_from(&sa, &to);
		int fd = l->fd[to.ip.family == 6];
		for (unsigned q = 0; q < 2 && fd >= 0; q++) {
			if (l->answered[s] & 1u << q)
				continue;
			size_t n = dns_query_encode(l->txid[q], l->name, l->name_len, types[q], query);
			if (sendto(fd, query, n, 0, &sa.sa, sa_len) < 0 && errno != EAGAIN)
				l->answered[s] = 3; /* no way there: nothing to wait for */
		}
	}
}

static bool is_settled(const struct lookup *l)
{
	bool all = true;

	for (size_t s = 0; s < l->n_servers; s++) {
		if (l->answered[s] == 3 && l->answer.count)
			return true;
		all = all && l->answered[s] == 3;
	}
	return all;
}

static bool heard_any(const struct lookup *l)
{
	for (size_t s = 0; s < l->n_servers; s++)
		if (l->answered[s])
			return true;
	return false;
}

static void ask(struct resolver *r, struct lookup *l, u64 now)
{
	if (r->n_servers) {
		l->n_servers = r->n_servers;
		memcpy(l->servers, r->servers, r->n_servers * sizeof(*r->servers));
	} else {
		struct span text = read_text(r->resolv_conf);
		l->n_servers = resolver_parse_conf(text, l->servers, RESOLVER_SERVERS_MAX);
		free((void *)text.p);
	}
	if (l->n_servers == 0) {
		finish(l, ERR_UNSUPPORTED);
		return;
	}
	for (size_t s = 0; s < l->n_servers; s++) {
		unsigned family = l->servers[s].family == 6;
		if (l->fd[family] < 0)
			l->fd[family] = open_socket(r, l->servers[s].family);
		if (l->fd[family] < 0)
			l->answered[s] = 3;
	}
	l->txid[0] = (u16)rng_u32(r->rng);
	l->txid[1] = (u16)(l->txid[0] ^ (1u + rng_below(r->rng, 65535)));
	l->resend_at = time_add(now, RESOLVER_RESEND);
	l->deadline = time_add(now, RESOLVER_TIMEOUT);
	l->grace_at = TIME_NEVER;
	l->state = LOOKUP_ASKING;
	send_questions(r, l);
	if (is_settled(l))
		finish(l, ERR_TIMEOUT);
}

/* True when the name needs no server. */
static bool answer_locally(struct resolver *r, struct lookup *l, const char *name)
{
	struct ip *out = l->answer.addresses;

	if (ip_parse(SPAN(name, strlen(name)), out) == 0) {
		l->answer.count = 1;
		return true;
	}
	struct span text = read_text(r->hosts);
	l->answer.count = resolver_parse_hosts(text, name, out, RESOLVER_ADDRESSES_MAX);
	free((void *)text.p);
	return l->answer.count > 0;
}

int resolver_start(struct resolver *r, u64 now, const char *name, void *ctx, u64 *id)
{
	struct lookup *l = NULL;
	struct ip literal;

	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX && !l; i++)
		if (r->lookups[i].state == LOOKUP_IDLE)
			l = &r->lookups[i];
	if (!l)
		return ERR_LIMIT;
	*l = (struct lookup){ .fd = { -1, -1 }, .answer = { .id = r->next_id++, .ctx = ctx } };
	if (ip_parse(SPAN(name, strlen(name)), &literal)) {
		int n = dns_name_encode(name, l->name);
		if (n < 0)
			return n;
		l->name_len = (size_t)n;
	}
	*id = l->answer.id;
	if (answer_locally(r, l, name))
		finish(l, 0);
	else
		ask(r, l, now);
	return 0;
}

void resolver_cancel(struct resolver *r, u64 id)
{
	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++)
		if (r->lookups[i].state != LOOKUP_IDLE && r->lookups[i].answer.id == id)
			forget(&r->lookups[i]);
}

/* --- hearing ------------------------------------------------------------------------------------------------------------------- */

int resolver_fd(const struct resolver *r)
{
	return r->epoll_fd;
}

static int server_index(const struct resolver *r, const struct lookup *l, const struct endpoint *from)
{
	for (size_t s = 0; s < l->n_servers; s++)
		if (from->port == r->port && ip_eq(&from->ip, &l->servers[s]))
			return (int)s;
	return -1;
}

static void take_answer(struct resolver *r, struct lookup *l, const struct endpoint *from, struct span msg, u64 now)
{
	int s = server_index(r, l, from);

	for (unsigned q = 0; s >= 0 && q < 2; q++) {
		if (dns_answer_decode(msg, l->txid[q], l->name, l->name_len, types[q], l->answer.addresses, RESOLVER_ADDRESSES_MAX,
				      &l->answer.count))
			continue;
		l->answered[s] = (u8)(l->answered[s] | 1u << q);
		if (l->answer.count && l->grace_at == TIME_NEVER)
			l->grace_at = time_add(now, RESOLVER_GRACE);
	}
}

static void read_socket(struct resolver *r, struct lookup *l, int fd, u64 now)
{
	u8 buf[ANSWER_BYTES_MAX];

	for (unsigned i = 0; fd >= 0 && i < READS_PER_INPUT; i++) {
		union sockaddr_any sa;
		socklen_t sa_len = sizeof(sa);
		struct endpoint from;
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, &sa.sa, &sa_len);
		if (n < 0)
			return;
		if (sockaddr_to(&sa, &from))
			take_answer(r, l, &from, SPAN(buf, (size_t)n), now);
	}
}

void resolver_input(struct resolver *r, u64 now)
{
	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
		struct lookup *l = &r->lookups[i];
		if (l->state != LOOKUP_ASKING)
			continue;
		read_socket(r, l, l->fd[0], now);
		read_socket(r, l, l->fd[1], now);
		if (is_settled(l))
			finish(l, ERR_NOT_FOUND);
	}
}

void resolver_timeout(struct resolver *r, u64 now)
{
	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
		struct lookup *l = &r->lookups[i];
		if (l->state != LOOKUP_ASKING)
			continue;
		if (now >= l->deadline || now >= l->grace_at) {
			finish(l, heard_any(l) ? ERR_NOT_FOUND : ERR_TIMEOUT);
		} else if (now >= l->resend_at) {
			l->resend_at = TIME_NEVER;
			send_questions(r, l);
		}
	}
}

u64 resolver_next_timeout(const struct resolver *r)
{
	u64 next = TIME_NEVER;

	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
		const struct lookup *l = &r->lookups[i];
		if (l->state == LOOKUP_ASKING)
			next = time_min(next, time_min(l->resend_at, time_min(l->grace_at, l->deadline)));
	}
	return next;
}

bool resolver_poll(struct resolver *r, struct resolver_answer *out)
{
	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
		if (r->lookups[i].state != LOOKUP_DONE)
			continue;
		*out = r->lookups[i].answer;
		r->lookups[i].state = LOOKUP_IDLE;
		return true;
	}
	return false;
}
