#define LOG_TARGET "quickstart::supervisor"

#include "applets/quickstart/supervisor.h"

#include "core/base/log.h"
#include "platform/sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL MSEC(50) /* while something is expected that sends no signal */
#define STATUS_USAGE 2

struct supervisor {
	const char *program;
	struct part *parts;
	u32 n;
	sigset_t signals;
	bool is_stopping, is_broken, is_ready;
};

/* ---- one part ---------------------------------------------------------------------------------------------------------------- */

static void become(const struct supervisor *s, const struct part *p, pid_t parent)
{
	const char *argv[PART_ARGS_MAX + 2] = { "emberbox" };

	for (u32 i = 0; i < PART_ARGS_MAX && p->args[i]; i++)
		argv[i + 1] = p->args[i];
	for (u32 i = 0; i < PART_ENV_MAX && p->env[i]; i++)
		putenv((char *)(uintptr_t)p->env[i]);
	unsetenv("NOTIFY_SOCKET"); /* the supervisor speaks for all */
	/* the parts follow when the supervisor is killed; it may have been before this line */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	setpgid(0, 0); /* Ctrl-C is the supervisor's to hand on, in its order */
	sigprocmask(SIG_UNBLOCK, &s->signals, NULL);
	execv(s->program, (char *const *)(uintptr_t)argv);
	fprintf(stderr, "emberbox quickstart: cannot run %s: %s\n", s->program, strerror(errno));
	_exit(127);
}

static void start(struct supervisor *s, struct part *p)
{
	pid_t parent = getpid(), pid = fork();

	p->started = sys_now();
	if (pid == 0)
		become(s, p, parent);
	if (pid < 0) {
		log_error("cannot start a process", kv_s("part", p->name), kv_s("reason", strerror(errno)));
		p->backoff = BACKOFF_MAX;
		p->due = p->started + p->backoff;
		return;
	}
	p->pid = pid;
	log_info("part started", kv_s("part", p->name), kv_u("pid", pid));
}

static void ended(struct supervisor *s, struct part *p, int status)
{
	u64 now = sys_now();

	p->pid = 0;
	p->was_killed = WIFSIGNALED(status);
	if (s->is_stopping)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_USAGE) {
		log_error("part does not understand its options; stopping", kv_s("part", p->name));
		s->is_broken = true;
		return;
	}
	if (now - p->started >= BACKOFF_FORGET)
		p->backoff = 0;
	p->backoff = p->backoff ? MIN(p->backoff * 2, (u64)BACKOFF_MAX) : BACKOFF_MIN;
	p->due = now + p->backoff;
	if (WIFSIGNALED(status))
		log_warn("part was killed, it is started again", kv_s("part", p->name), kv_u("signal", WTERMSIG(status)),
			 kv_u("after_ms", p->backoff / 1000000));
	else
		log_warn("part ended, it is started again", kv_s("part", p->name), kv_u("status", WEXITSTATUS(status)),
			 kv_u("after_ms", p->backoff / 1000000));
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------ */

static void reap(struct supervisor *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (u32 i = 0; i < s->n; i++)
			if (s->parts[i].pid == pid)
				ended(s, &s->parts[i], status);
}

/* Sleeps until a signal or the instant. */
static void wait_for_signal(struct supervisor *s, u64 until)
{
	u64 now = sys_now(), left = until > now ? MIN(until - now, (u64)SEC(3600)) : 0;
	struct timespec ts = { (time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC) };
	int signo = sigtimedwait(&s->signals, NULL, &ts);

	if (signo == SIGTERM || signo == SIGINT)
		s->is_stopping = true;
	reap(s);
}

/* At the very start a part that fails is not tried again: whoever typed the command shall see why. */
static bool start_first(struct supervisor *s, struct part *p)
{
	u64 deadline = sys_now() + READY_TIMEOUT;

	start(s, p);
	while (!s->is_stopping && p->pid && p->is_ready && !p->is_ready(p->ctx)) {
		if (sys_now() > deadline) {
			log_error("part does not become ready", kv_s("part", p->name));
			return false;
		}
		wait_for_signal(s, sys_now() + POLL);
	}
	if (!p->pid && !s->is_stopping)
		log_error("part could not start", kv_s("part", p->name));
	return p->pid || s->is_stopping;
}

static void run(struct supervisor *s)
{
	while (!s->is_stopping && !s->is_broken) {
		u64 next = TIME_NEVER, now = sys_now();

		for (u32 i = 0; i < s->n; i++) {
			struct part *p = &s->parts[i];

			if (!p->pid && p->due <= now)
				start(s, p);
			if (!p->pid)
				next = time_min(next, p->due);
		}
		wait_for_signal(s, next);
	}
}

static void stop(struct supervisor *s)
{
	u64 deadline = sys_now() + STOP_TIMEOUT;

	s->is_stopping = true;
	/* the last first: peers say goodbye while the portal still listens */
	for (u32 i = s->n; i-- > 0;) {
		struct part *p = &s->parts[i];

		if (!p->pid)
			continue;
		kill(p->pid, SIGTERM);
		while (p->pid && sys_now() < deadline)
			wait_for_signal(s, sys_now() + POLL);
		if (!p->pid)
			continue;
		log_warn("part does not stop and is killed", kv_s("part", p->name));
		kill(p->pid, SIGKILL);
		int status;
		waitpid(p->pid, &status, 0);
		ended(s, p, status);
	}
}

int supervise(const char *program, struct part *parts, u32 n, void (*on_ready)(void *ctx), void *ctx)
{
	struct supervisor s = { .program = program, .parts = parts, .n = n };
	sigset_t before;
	bool ok = true;

	sigemptyset(&s.signals);
	sigaddset(&s.signals, SIGTERM);
	sigaddset(&s.signals, SIGINT);
	sigaddset(&s.signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &s.signals, &before);
	for (u32 i = 0; i < n && ok && !s.is_stopping; i++)
		ok = start_first(&s, &parts[i]);
	if (ok && !s.is_stopping) {
		on_ready(ctx);
		run(&s);
	}
	stop(&s);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ok && !s.is_broken ? 0 : 1;
}
