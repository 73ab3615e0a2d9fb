#include "applets/portal/outbound/sendmail.h"

#include "core/base/cursor.h"
#include "platform/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 1024 /* closed in the helper; it is forked before there are more */
#define GLANCE_MS 50 /* how often the helper looks whether its child is still there */
#define VERDICT_BYTES (1u + SMTP_TEXT_MAX)

extern char **environ;

struct sendmail {
	int fd;
	pid_t pid;
	struct loop_fd *watch;
	void (*on_result)(void *ctx, enum smtp_verdict verdict, const char *text);
	void *ctx;
	u8 *out; /* length and message */
	size_t out_n, out_at;
	u8 in[VERDICT_BYTES];
	size_t in_n;
	bool is_busy;
};

/* ---- the helper: blocking, one thing after the other --------------------------------------------------------------------------------- */

struct child {
	pid_t pid;
	int in, err; /* its stdin, its stdout and stderr; -1 closed */
	char said[SMTP_TEXT_MAX];
	size_t said_n;
};

static bool read_all(int fd, u8 *buf, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, buf, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		buf += got;
		n -= (size_t)got;
	}
	return true;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int spawn(const char *program, const char *from, struct child *c)
{
	char *argv[] = { (char *)(uintptr_t)program, "-t", "-oi", "-f", (char *)(uintptr_t)from, NULL };
	posix_spawn_file_actions_t actions;
	int in[2], err[2], rc;

	if (pipe2(in, O_CLOEXEC))
		return errno;
	if (pipe2(err, O_CLOEXEC)) {
		rc = errno;
		close(in[0]);
		close(in[1]);
		return rc;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, err[1], 1);
	posix_spawn_file_actions_adddup2(&actions, err[1], 2);
	rc = posix_spawn(&c->pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(err[1]);
	c->in = in[1];
	c->err = err[0];
	fcntl(c->in, F_SETFL, O_NONBLOCK);
	fcntl(c->err, F_SETFL, O_NONBLOCK);
	return rc;
}

/* What it says beyond the first words is read and dropped, so that it never waits for us. */
static void listen_to(struct child *c)
{
	char buf[512];
	ssize_t n = read(c->err, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_end(&c->err);
		return;
	}
	size_t keep = MIN((size_t)n, sizeof(c->said) - c->said_n);
	memcpy(c->said + c->said_n, buf, keep);
	c->said_n += keep;
}

static void feed(struct child *c, struct span *message)
{
	ssize_t n = message->n > 0 ? write(c->in, message->p, message->n) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		close_end(&c->in); /* it does not want more; its status will say why */
		return;
	}
	*message = SPAN(message->p + n, message->n - (size_t)n);
	if (message->n == 0)
		close_end(&c->in);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* Until it exits: what it left running behind it may keep its output open. -1: too slow, killed. */
static int attend(struct child *c, struct span message)
{
	u64 end = time_add(sys_now(), SEC(SENDMAIL_TIMEOUT_SECS));
	int status = -1;

	for (;;) {
		struct pollfd p[2] = { { c->err, POLLIN, 0 }, { c->in, POLLOUT, 0 } };
		(void)poll(p, 2, GLANCE_MS);
		if (c->in >= 0 && p[1].revents)
			feed(c, &message);
		bool is_over = waitpid(c->pid, &status, WNOHANG) == c->pid;
		if (c->err >= 0 && (is_over || p[0].revents))
			listen_to(c);
		if (is_over)
			break;
		if (sys_now() >= end) {
			kill(c->pid, SIGKILL);
			(void)wait_for(c->pid);
			status = -1;
			break;
		}
	}
	close_end(&c->err);
	close_end(&c->in);
	return status;
}

static void judge(const struct child *c, int status, const char *program, u8 out[VERDICT_BYTES])
{
	char words[SMTP_TEXT_MAX / 2], *text = (char *)out + 1;
	int code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	size_t n = c->said_n;

	while (n > 0 && (u8)c->said[n - 1] <= ' ')
		n--;
	smtp_clean(words, sizeof(words), c->said, n);
	out[0] = code == 0 ? SMTP_ACCEPTED : code == EX_DATAERR || code == EX_NOUSER || code == EX_NOHOST ? SMTP_REFUSED : SMTP_LATER;
	if (code == 0)
		snprintf(text, SMTP_TEXT_MAX, "taken by %.100s", program);
	else if (status < 0)
		snprintf(text, SMTP_TEXT_MAX, "%.80s took longer than %d seconds", program, SENDMAIL_TIMEOUT_SECS);
	else if (code < 0)
		snprintf(text, SMTP_TEXT_MAX, "%.80s died of signal %d", program, WTERMSIG(status));
	else
		snprintf(text, SMTP_TEXT_MAX, "%.80s ended with status %d%s%s", program, code, words[0] ? ": " : "", words);
}

static void hand_over(const char *program, const char *from, struct span message, u8 verdict[VERDICT_BYTES])
{
	struct child c = { .pid = -1, .in = -1, .err = -1 };
	int rc = spawn(program, from, &c);

	if (rc == 0) {
		judge(&c, attend(&c, message), program, verdict);
		return;
	}
	close_end(&c.in);
	close_end(&c.err);
	verdict[0] = SMTP_LATER;
	snprintf((char *)verdict + 1, SMTP_TEXT_MAX, "%.100s cannot be run: %.80s", program, strerror(rc));
}

static _Noreturn void help(int fd, const char *program, const char *from)
{
	u8 *message = malloc(SMTP_MESSAGE_MAX), head[4];

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_NAME, "portal-mail");
	for (int other = 3; other < DESCRIPTORS_MAX; other++)
		if (other != fd)
			close(other);
	while (message && read_all(fd, head, sizeof(head))) {
		u8 verdict[VERDICT_BYTES] = { 0 };
		u32 n = get_be32(head);
		if (n > SMTP_MESSAGE_MAX || !read_all(fd, message, n))
			break;
		hand_over(program, from, SPAN(message, n), verdict);
		sodium_memzero(message, n);
		if (send(fd, verdict, sizeof(verdict), MSG_NOSIGNAL) != (ssize_t)sizeof(verdict))
			break;
	}
	_exit(0);
}

/* ---- the portal's side ----------------------------------------------------------------------------------------------------------------------- */

int sendmail_start(const char *program, const char *from, struct sendmail **out)
{
	struct sendmail *s = calloc(1, sizeof(*s));
	int pair[2];

	if (!s)
		return ERR_NOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(s);
		return ERR_IO;
	}
	s->pid = fork();
	if (s->pid == 0)
		help(pair[1], program, from);
	close(pair[1]);
	s->fd = pair[0];
	if (s->pid < 0) {
		close(s->fd);
		free(s);
		return ERR_IO;
	}
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	*out = s;
	return 0;
}

static void drop_message(struct sendmail *s)
{
	if (s->out)
		sodium_memzero(s->out, s->out_n);
	free(s->out);
	s->out = NULL;
	s->out_n = s->out_at = 0;
}

void sendmail_free(struct sendmail *s)
{
	if (!s)
		return;
	loop_fd_del(s->watch);
	drop_message(s);
	if (s->fd >= 0)
		close(s->fd);
	if (!s->is_busy) /* a busy one ends by itself, and nobody waits for a slow program */
		(void)wait_for(s->pid);
	free(s);
}

static void finish(struct sendmail *s, enum smtp_verdict verdict, const char *text)
{
	drop_message(s);
	s->is_busy = false;
	s->in_n = 0;
	s->on_result(s->ctx, verdict, text);
}

static void lost(struct sendmail *s)
{
	loop_fd_del(s->watch);
	s->watch = NULL;
	close_end(&s->fd);
	if (s->is_busy)
		finish(s, SMTP_LATER, "the process that runs sendmail is gone; start the portal anew");
}

static void on_socket(void *ctx, int fd, unsigned events, u64 now)
{
	struct sendmail *s = ctx;

	(void)now;
	if (events & LOOP_WRITE) {
		ssize_t n = send(fd, s->out + s->out_at, s->out_n - s->out_at, MSG_NOSIGNAL);
		if (n > 0)
			s->out_at += (size_t)n;
		if (s->out_at == s->out_n)
			loop_fd_set(s->watch, LOOP_READ);
	}
	if (!(events & LOOP_READ))
		return;
	ssize_t n = read(fd, s->in + s->in_n, sizeof(s->in) - s->in_n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		lost(s);
	} else if (n > 0) {
		s->in_n += (size_t)n;
		if (s->in_n == sizeof(s->in)) {
			s->in[sizeof(s->in) - 1] = 0;
			finish(s, s->in[0] <= SMTP_REFUSED ? (enum smtp_verdict)s->in[0] : SMTP_LATER, (const char *)s->in + 1);
		}
	}
}

int sendmail_attach(struct sendmail *s, struct loop *loop, void (*on_result)(void *ctx, enum smtp_verdict verdict, const char *text), void *ctx)
{
	s->on_result = on_result;
	s->ctx = ctx;
	s->watch = loop_fd_add(loop, s->fd, LOOP_READ, on_socket, s);
	return s->watch ? 0 : ERR_NOMEM;
}

int sendmail_send(struct sendmail *s, struct span message)
{
	if (s->is_busy)
		return ERR_STATE;
	if (s->fd < 0)
		return ERR_CLOSED;
	if (message.n > SMTP_MESSAGE_MAX)
		return ERR_LIMIT;
	s->out = malloc(message.n + 4);
	if (!s->out)
		return ERR_NOMEM;
	put_be32(s->out, (u32)message.n);
	memcpy(s->out + 4, message.p, message.n);
	s->out_n = message.n + 4;
	s->is_busy = true;
	loop_fd_set(s->watch, LOOP_READ | LOOP_WRITE);
	return 0;
}
