/* platform/linux/dns_command.h: one program at a time, run without a shell, watched without waiting.
 *
 *      [idle] ── command_start ──▶ [running] ── exited, or killed at its limit ──▶ [idle], outcome filled
 *
 * The program gets no standard input, default signals and a process group of its own; its first COMMAND_OUTPUT bytes and the first
 * COMMAND_ERRORS of its complaints are kept. Its end is found by waitpid(), tried when its pipes end and every COMMAND_LOOK: children that
 * it leaves behind with the pipes open (a service script's daemon) do not hold us up.
 */
#pragma once

#include "core/base/time.h"

#include <sys/types.h>

#define COMMAND_WORDS_MAX 48u
#define COMMAND_OUTPUT 16384u
#define COMMAND_ERRORS 256u
#define COMMAND_LOOK MSEC(20)

struct command {
	pid_t pid; /* 0: idle */
	int epoll_fd, out_fd, err_fd;
	u64 limit, next_look;
	const char *label; /* for command_why(), borrowed */
	/* outcome */
	bool was_killed;
	int status; /* as of waitpid() */
	size_t out_n, err_n;
	char out[COMMAND_OUTPUT + 1], err[COMMAND_ERRORS + 1];
};

int command_init(struct command *c) MUST_CHECK;
void command_free(struct command *c); /* kills what runs */

/* `words` end with NULL; the first is found in PATH unless it has a slash. ERR_NOT_FOUND, ERR_DENIED, ERR_IO: could not be started. */
int command_start(struct command *c, u64 now, u64 limit, const char *label, const char *const *words) MUST_CHECK;
static inline bool command_runs(const struct command *c)
{
	return c->pid != 0;
}
/* Call when epoll_fd is readable and at command_next_timeout(). True when it has ended just now. */
bool command_look(struct command *c, u64 now);
u64 command_next_timeout(const struct command *c);

bool command_succeeded(const struct command *c);
/* "resolvectl dns: exit status 1: Failed to …" in one line. */
void command_why(const struct command *c, char *why, size_t cap);
