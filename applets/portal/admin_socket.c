#define LOG_TARGET "portal::admin_socket"

#include "applets/portal/admin_socket.h"

#include "applets/portal/copying.h"
#include "applets/portal/state.h"
#include "core/base/cursor.h"
#include "core/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

struct admin_conn {
	struct admin_socket *owner;
	struct admin_conn *next, **link;
	struct loop_fd *watch;
	struct loop_timer timer;
	struct held held;
	u64 sweeps; /* store_sweeps() before its request */
	int fd;
	u8 *in;
	size_t in_len;
	struct admin_request rq;
	struct admin_reply reply;
	struct loop_timer turn; /* the rest of what is long */
	u8 head[5];		/* of the answer: length, status */
	size_t out_len, out_done, out_size, err_size;
};

struct admin_socket {
	struct server *server;
	struct loop_fd *watch;
	struct admin_conn *conns, *copier; /* who waits for the copy */
	struct copying *copying;
	u32 n_conns;
	int fd;
	char path[STATE_PATH_MAX];
};

static void drop(struct admin_conn *c)
{
	loop_fd_del(c->watch);
	loop_timer_clear(c->owner->server->loop, &c->timer);
	held_cancel(&c->held);
	loop_timer_clear(c->owner->server->loop, &c->turn);
	admin_reply_free(&c->reply);
	if (c->owner->copier == c) {
		c->owner->copier = NULL;
		copying_free(c->owner->copying); /* nobody would come for it */
	}
	close(c->fd);
	free(c->in);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->owner->n_conns--;
	free(c);
}

/* What is behind `at` of a piece; `at` becomes that of the next. */
static struct iovec behind(struct span piece, size_t *at)
{
	size_t skip = MIN(*at, piece.n);

	*at -= skip;
	return (struct iovec){ (u8 *)(uintptr_t)piece.p + skip, piece.n - skip };
}

/* Wiped as it goes, and whole pages given back: of fifty megabytes that would take a while at the end. */
static void let_go(u8 *p, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)p + page - 1) / page * page, to = ((uintptr_t)p + n) / page * page;

	memset(p, 0, n);
	if (from < to)
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
}

static ssize_t send_on(struct admin_conn *c)
{
	size_t at = c->out_done;
	struct iovec pieces[3] = { behind(SPAN(c->head, sizeof(c->head)), &at) };

	pieces[1] = behind(SPAN(c->reply.out ? c->reply.out : "", c->out_size), &at);
	pieces[2] = behind(SPAN(c->reply.err ? c->reply.err : "", c->err_size), &at);
	ssize_t n = sendmsg(c->fd, &(struct msghdr){ .msg_iov = pieces, .msg_iovlen = ARRAY_LEN(pieces) }, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > (ssize_t)pieces[0].iov_len && c->reply.out)
		let_go(pieces[1].iov_base, MIN((size_t)n - pieces[0].iov_len, pieces[1].iov_len));
	return n;
}

static void write_reply(void *ctx)
{
	struct admin_conn *c = ctx;

	if (c->held.ticket)
		return;
	ssize_t n = send_on(c);
	if (n > 0)
		c->out_done += (size_t)n;
	if (c->out_done == c->out_len || n == 0 || (n < 0 && errno != EAGAIN)) {
		drop(c);
		return;
	}
	/* as much as the socket takes is enough for one turn, however quickly it is read */
	loop_fd_set(c->watch, LOOP_WRITE);
	loop_timer_set(c->owner->server->loop, &c->timer, loop_now(c->owner->server->loop) + ADMIN_CONN_TIMEOUT);
}

/* c->reply. */
static void answer(struct admin_conn *c)
{
	struct server *s = c->owner->server;

	c->out_size = c->reply.out_len + 1;
	c->err_size = (c->reply.err ? strlen(c->reply.err) : 0) + 1;
	size_t n = 1 + c->out_size + c->err_size;
	if (n > ADMIN_REPLY_MAX) {
		log_error("an admin reply could not be sent", kv_err(ERR_LIMIT));
		drop(c);
		return;
	}
	put_be32(c->head, (u32)n);
	c->head[4] = (u8)c->reply.status;
	c->out_len = 4 + n;
	loop_fd_set(c->watch, 0);
	loop_timer_clear(s->loop, &c->timer); /* who waits for us has no patience to lose */
	server_hold(s, &c->held, c->sweeps, write_reply, c);
	write_reply(c);
}

static void answer_copier(struct admin_conn *c, const char *why)
{
	c->reply = (struct admin_reply){ .status = why ? 1 : 0, .err = why ? strdup(why) : NULL };
	answer(c);
}

static void on_copied(void *ctx, const char *why)
{
	struct admin_socket *a = ctx;

	struct admin_conn *c = a->copier;

	a->copier = NULL;
	if (c)
		answer_copier(c, why);
}

/* Not an action: nothing changes. */
static void copy(struct admin_conn *c)
{
	struct admin_socket *a = c->owner;
	struct server *s = a->server;
	int rc = copying_start(&a->copying, s->portal, s->loop, s->cfg->dir, on_copied, a);

	if (rc) {
		answer_copier(c, rc == ERR_AGAIN ? "another backup is being made: try again when it is done" : store_reason(s->portal->store));
		return;
	}
	a->copier = c;
	loop_timer_clear(s->loop, &c->timer);
}

static void look_at_reply(struct admin_conn *c)
{
	struct server *s = c->owner->server;

	s->changed(s);
	if (!c->reply.rest) {
		answer(c);
		return;
	}
	loop_timer_set(s->loop, &c->timer, time_add(loop_now(s->loop), ADMIN_CONN_TIMEOUT));
	loop_timer_set(s->loop, &c->turn, admin_next_turn(&c->reply, loop_now(s->loop)));
	loop_yield(s->loop);
}

static void on_turn(void *ctx, u64 now)
{
	struct admin_conn *c = ctx;

	(void)now;
	admin_go_on(&c->reply);
	look_at_reply(c);
}

static void run_request(struct admin_conn *c, struct span body)
{
	struct server *s = c->owner->server;

	c->sweeps = store_sweeps(s->portal->store);
	c->reply.status = 2;
	if (admin_decode_request(body, &c->rq)) {
		c->reply.err = strdup("emberbox portal: the request cannot be understood\n");
	} else if (strcmp(c->rq.noun, "portal") == 0 && strcmp(c->rq.verb, "backup") == 0) {
		copy(c);
		return;
	} else {
		c->rq.is_patient = true;
		loop_fd_set(c->watch, 0); /* nothing else is asked meanwhile */
		admin_run(s->portal, &c->rq, &c->reply);
	}
	look_at_reply(c);
}

static void on_conn(void *ctx, int fd, unsigned events, u64 now)
{
	struct admin_conn *c = ctx;

	(void)now;
	if (c->out_len) {
		write_reply(c);
		return;
	}
	if (!(events & LOOP_READ))
		return;
	ssize_t n = recv(fd, c->in + c->in_len, 4 + ADMIN_REQUEST_MAX - c->in_len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	c->in_len += (size_t)n;
	if (c->in_len < 4)
		return;
	u32 want = get_be32(c->in);
	if (want > ADMIN_REQUEST_MAX) {
		drop(c);
		return;
	}
	if (c->in_len < 4 + (size_t)want)
		return;
	if (c->owner->copier != c)
		run_request(c, SPAN(c->in + 4, want));
}

static void on_timer(void *ctx, u64 now)
{
	(void)now;
	drop(ctx);
}

static void on_listen(void *ctx, int fd, unsigned events, u64 now)
{
	struct admin_socket *a = ctx;
	struct admin_conn *c;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (client < 0)
		return;
	c = a->n_conns < ADMIN_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		log_warn("too many admin connections");
		close(client);
		return;
	}
	c->owner = a;
	c->fd = client;
	c->turn.cb = on_turn;
	c->turn.ctx = c;
	c->timer.cb = on_timer;
	c->timer.ctx = c;
	c->next = a->conns;
	c->link = &a->conns;
	if (c->next)
		c->next->link = &c->next;
	a->conns = c;
	a->n_conns++;
	c->in = malloc(4 + ADMIN_REQUEST_MAX);
	c->watch = loop_fd_add(a->server->loop, client, LOOP_READ, on_conn, c);
	if (!c->in || !c->watch) {
		drop(c);
		return;
	}
	loop_timer_set(a->server->loop, &c->timer, now + ADMIN_CONN_TIMEOUT);
}

static int listen_at(const char *path, char *why, size_t why_size)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(why, why_size, "the path %s is too long for a socket (%zu characters at most)", path, sizeof(sa.sun_path) - 1);
		return ERR_INVAL;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* the umask of a portal is 077 */
	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, ADMIN_CONNS_MAX) == 0)
		return fd;
	snprintf(why, why_size, "cannot listen on %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}

int admin_socket_open(struct server *s, struct admin_socket **out, char *why, size_t why_size)
{
	struct admin_socket *a = calloc(1, sizeof(*a));

	if (!a || !state_path(s->cfg->dir, "admin.sock", a->path)) {
		snprintf(why, why_size, "out of memory");
		free(a);
		return ERR_NOMEM;
	}
	a->server = s;
	a->fd = listen_at(a->path, why, why_size);
	if (a->fd < 0) {
		int rc = a->fd;
		free(a);
		return rc;
	}
	a->watch = loop_fd_add(s->loop, a->fd, LOOP_READ, on_listen, a);
	if (!a->watch) {
		snprintf(why, why_size, "out of memory");
		admin_socket_close(a);
		return ERR_NOMEM;
	}
	*out = a;
	return 0;
}

void admin_socket_close(struct admin_socket *a)
{
	if (!a)
		return;
	copying_free(a->copying);
	while (a->conns)
		drop(a->conns);
	loop_fd_del(a->watch);
	close(a->fd);
	unlink(a->path);
	free(a);
}
