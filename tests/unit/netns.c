#include "tests/unit/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int home = -1;

bool netns_enter(void)
{
	if (geteuid() != 0)
		return false;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return false;
	if (unshare(CLONE_NEWNET) == 0 && netns_sh("ip link set lo up"))
		return true;
	netns_leave();
	return false;
}

void netns_leave(void)
{
	if (home < 0)
		return;
	if (setns(home, CLONE_NEWNET) != 0)
		abort();
	close(home);
	home = -1;
}

static bool run(const char *fmt, va_list ap, char *out, size_t n)
{
	char cmd[1024];
	int len = vsnprintf(cmd, sizeof(cmd) - 8, fmt, ap);
	if (len < 0 || (size_t)len >= sizeof(cmd) - 8)
		abort();
	FILE *f = popen(cmd, "r");
	if (!f)
		return false;
	size_t got = fread(out, 1, n - 1, f);
	out[got] = 0;
	return pclose(f) == 0;
}

bool netns_sh(const char *fmt, ...)
{
	char out[4096];
	va_list ap;
	va_start(ap, fmt);
	bool ok = run(fmt, ap, out, sizeof(out));
	va_end(ap);
	return ok;
}

const char *netns_output(const char *fmt, ...)
{
	static char out[16384];
	va_list ap;
	va_start(ap, fmt);
	if (!run(fmt, ap, out, sizeof(out)))
		out[0] = 0;
	va_end(ap);
	return out;
}
