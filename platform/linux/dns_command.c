#include "platform/linux/dns_command.h"

#include "core/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int command_init(struct command *c)
{
	*c = (struct command){ .out_fd = -1, .err_fd = -1, .next_look = TIME_NEVER };
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return c->epoll_fd < 0 ? ERR_IO : 0;
}

static void close_pipe(struct command *c, int *fd)
{
	if (*fd < 0)
		return;
	epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	close(*fd);
	*fd = -1;
}

void command_free(struct command *c)
{
	if (c->pid) {
		kill(-c->pid, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close_pipe(c, &c->out_fd);
	close_pipe(c, &c->err_fd);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
}

static int open_pipe(struct command *c, int *ours, int *theirs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return ERR_IO;
	struct epoll_event ev = { .events = EPOLLIN };
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, ends[0], &ev)) {
		close(ends[0]);
		close(ends[1]);
		return ERR_IO;
	}
	*ours = ends[0];
	*theirs = ends[1];
	return 0;
}

/* 0 or an errno, as posix_spawn() does. */
static int spawn(pid_t *pid, const char *const *words, int out, int err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int e;

	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
	if (e == 0)
		e = posix_spawnattr_setsigdefault(&attr, &all);
	if (e == 0)
		e = posix_spawnattr_setsigmask(&attr, &none);
	if (e == 0)
		e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	if (e == 0)
		e = posix_spawnp(pid, words[0], &files, &attr, (char *const *)words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

int command_start(struct command *c, u64 now, u64 limit, const char *label, const char *const *words)
{
	int out = -1, err = -1;
	pid_t pid = 0;

	if (c->pid)
		return ERR_STATE;
	c->out_n = c->err_n = 0;
	c->was_killed = false;
	c->label = label;
	int rc = open_pipe(c, &c->out_fd, &out);
	if (rc == 0)
		rc = open_pipe(c, &c->err_fd, &err);
	if (rc == 0) {
		int e = spawn(&pid, words, out, err);
		rc = e == 0 ? 0 : e == ENOENT ? ERR_NOT_FOUND : e == EACCES ? ERR_DENIED : ERR_IO;
	}
	if (out >= 0)
		close(out);
	if (err >= 0)
		close(err);
	if (rc) {
		close_pipe(c, &c->out_fd);
		close_pipe(c, &c->err_fd);
		return rc;
	}
	c->pid = pid;
	c->limit = time_add(now, limit);
	c->next_look = time_add(now, COMMAND_LOOK);
	return 0;
}

/* What exceeds the room is read and dropped, or the program would wait for us. */
static void drain(struct command *c, int *fd, char *buf, size_t *n, size_t cap)
{
	char dropped[1024];

	while (*fd >= 0) {
		const bool has_room = *n < cap;
		ssize_t got = read(*fd, has_room ? buf + *n : dropped, has_room ? cap - *n : sizeof(dropped));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0)
			close_pipe(c, fd);
		else if (has_room)
			*n += (size_t)got;
	}
}

bool command_look(struct command *c, u64 now)
{
	if (!c->pid)
		return false;
	drain(c, &c->out_fd, c->out, &c->out_n, COMMAND_OUTPUT);
	drain(c, &c->err_fd, c->err, &c->err_n, COMMAND_ERRORS);
	pid_t ended = waitpid(c->pid, &c->status, WNOHANG);
	if (ended == 0 && now >= c->limit) {
		c->was_killed = true;
		kill(-c->pid, SIGKILL);
		do
			ended = waitpid(c->pid, &c->status, 0);
		while (ended < 0 && errno == EINTR);
	}
	if (ended == 0 || (ended < 0 && errno == EINTR)) {
		c->next_look = time_add(now, COMMAND_LOOK);
		return false;
	}
	if (ended < 0)
		c->status = 0xff00; /* somebody else has reaped it */
	drain(c, &c->out_fd, c->out, &c->out_n, COMMAND_OUTPUT);
	drain(c, &c->err_fd, c->err, &c->err_n, COMMAND_ERRORS);
	close_pipe(c, &c->out_fd);
	close_pipe(c, &c->err_fd);
	c->out[c->out_n] = c->err[c->err_n] = '\0';
	c->pid = 0;
	c->next_look = TIME_NEVER;
	return true;
}

u64 command_next_timeout(const struct command *c)
{
	return c->pid ? time_min(c->next_look, c->limit) : TIME_NEVER;
}

bool command_succeeded(const struct command *c)
{
	return !c->was_killed && WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0;
}

void command_why(const struct command *c, char *why, size_t cap)
{
	char said[COMMAND_ERRORS + 1];
	size_t n = 0;

	for (size_t i = 0; i < c->err_n; i++)
		said[n++] = (u8)c->err[i] < ' ' || c->err[i] == 0x7f ? ' ' : c->err[i];
	while (n > 0 && said[n - 1] == ' ')
		n--;
	said[n] = '\0';
	const char *gap = n ? ": " : "";
	if (c->was_killed)
		snprintf(why, cap, "%s: no end in time, killed%s%s", c->label, gap, said);
	else if (WIFEXITED(c->status))
		snprintf(why, cap, "%s: exit status %d%s%s", c->label, WEXITSTATUS(c->status), gap, said);
	else
		snprintf(why, cap, "%s: ended by signal %d%s%s", c->label, WTERMSIG(c->status), gap, said);
}
