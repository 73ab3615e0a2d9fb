#include "platform/sys.h"

#include "core/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LOG_STALL_MS 100
#define CAP_LAST_KNOWN 63

/* ---- clocks, randomness ---- */

static u64 read_clock(clockid_t id)
{
	struct timespec ts;
	if (clock_gettime(id, &ts) != 0)
		return 0;
	return SEC(ts.tv_sec) + (u64)ts.tv_nsec;
}

u64 sys_now(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

u64 sys_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

u64 sys_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

u64 sys_clock_now(void *ctx)
{
	(void)ctx;
	return sys_now();
}

u64 sys_clock_wall(void *ctx)
{
	(void)ctx;
	return sys_wall();
}

static void random_fill(struct rng *rng, void *buf, size_t n)
{
	u8 *p = buf;
	(void)rng;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0 && errno != EINTR)
			abort();
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

struct rng *sys_rng(void)
{
	static struct rng system_rng = { random_fill };
	return &system_rng;
}

/* ---- log lines ---- */

static void sink_write(void *ctx, const char *line, size_t n)
{
	int fd = (int)(intptr_t)ctx;
	while (n > 0) {
		ssize_t done = write(fd, line, n);
		if (done > 0) {
			line += done;
			n -= (size_t)done;
		} else if (done < 0 && errno == EAGAIN) {
			struct pollfd p = { fd, POLLOUT, 0 };
			if (poll(&p, 1, LOG_STALL_MS) <= 0)
				return;
		} else if (done < 0 && errno != EINTR) {
			return;
		}
	}
}

void sys_log_sink(struct log_sink *out, int fd, enum log_format format)
{
	*out = (struct log_sink){
		.write = sink_write,
		.wall_ns = sys_clock_wall,
		.ctx = (void *)(intptr_t)fd,
		.format = format,
		.is_coloured = format == LOG_HUMAN && isatty(fd) && !getenv("NO_COLOR"),
	};
}

/* ---- service manager ---- */

int sys_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	if (!path || !*path)
		return 0;
	size_t n = strlen(path);
	if (n >= sizeof(sa.sun_path))
		return ERR_INVAL;
	memcpy(sa.sun_path, path, n);
	if (path[0] == '@') /* abstract name */
		sa.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ERR_IO;
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa, len);
	close(fd);
	return sent < 0 ? ERR_IO : 0;
}

/* ---- privileges ---- */

static int get_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3, 0 };
	return (int)syscall(SYS_capget, &hdr, caps);
}

static int set_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3, 0 };
	return (int)syscall(SYS_capset, &hdr, caps);
}

bool sys_has_net_admin(void)
{
	struct __user_cap_data_struct caps[2] = { 0 };
	return get_caps(caps) == 0 && (caps[0].effective & (1u << CAP_NET_ADMIN)) != 0;
}

static int switch_user(const char *user)
{
	errno = 0;
	struct passwd *pw = getpwnam(user);
	if (!pw)
		return ERR_NOT_FOUND;
	if (pw->pw_uid == geteuid() && pw->pw_gid == getegid())
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 ||
	    setuid(pw->pw_uid) != 0)
		return ERR_DENIED;
	return 0;
}

int sys_drop_privileges(unsigned keep, const char *user)
{
	struct __user_cap_data_struct caps[2] = { 0 };
	u32 want = 0;
	if (keep & SYS_KEEP_NET_ADMIN)
		want |= 1u << CAP_NET_ADMIN;
	if (keep & SYS_KEEP_NET_BIND)
		want |= 1u << CAP_NET_BIND_SERVICE;

	if (get_caps(caps) != 0)
		return ERR_DENIED;
	/* Without CAP_SETPCAP the bounding set stays; no_new_privs closes the same door. */
	for (int cap = 0; cap <= CAP_LAST_KNOWN; cap++)
		if (cap >= 32 || !(want & (1u << cap)))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (user) {
		int rc = switch_user(user);
		if (rc < 0)
			return rc;
	}
	caps[0].permitted &= want;
	caps[0].effective = caps[0].permitted;
	caps[0].inheritable = 0;
	caps[1] = (struct __user_cap_data_struct){ 0 };
	if (set_caps(caps) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return ERR_DENIED;
	return 0;
}

void sys_protect_memory(void)
{
	struct rlimit none = { 0, 0 };
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

u64 sys_limit_files(u64 want)
{
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return 0;
	if (lim.rlim_cur < want) {
		rlim_t old_max = lim.rlim_max;
		lim.rlim_cur = want;
		if (lim.rlim_max < want)
			lim.rlim_max = want;
		if (setrlimit(RLIMIT_NOFILE, &lim) != 0) {
			lim.rlim_max = old_max;
			lim.rlim_cur = MIN((rlim_t)want, old_max);
			(void)setrlimit(RLIMIT_NOFILE, &lim);
		}
		(void)getrlimit(RLIMIT_NOFILE, &lim);
	}
	return (u64)lim.rlim_cur;
}

/* ---- /proc ---- */

static int read_file(const char *path, char *buf, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_DENIED : ERR_IO;
	ssize_t got = read(fd, buf, n - 1);
	close(fd);
	if (got < 0)
		return ERR_IO;
	buf[got] = 0;
	return (int)got;
}

static int sysctl_path(const char *name, char *path, size_t n)
{
	int len = snprintf(path, n, "/proc/sys/%s", name);
	return len < 0 || (size_t)len >= n ? ERR_INVAL : 0;
}

int sys_sysctl_set(const char *name, const char *value)
{
	char path[256];
	int rc = sysctl_path(name, path, sizeof(path));
	if (rc < 0)
		return rc;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
	ssize_t done = write(fd, value, strlen(value));
	int e = errno;
	close(fd);
	return done >= 0 ? 0 : e == EPERM || e == EACCES ? ERR_DENIED : ERR_IO;
}

int sys_sysctl_get(const char *name, char *buf, size_t n)
{
	char path[256];
	int rc = sysctl_path(name, path, sizeof(path));
	if (rc == 0)
		rc = read_file(path, buf, n);
	if (rc < 0)
		return rc;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

int sys_raise_socket_buffers(void)
{
	int rc = sys_sysctl_set("net/core/rmem_max", "134217728"); /* spec 30 §18 */
	int rc2 = sys_sysctl_set("net/core/wmem_max", "16777216");
	return rc < 0 ? rc : rc2;
}

static u64 status_kib(const char *status, const char *key)
{
	const char *p = strstr(status, key);
	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : 0;
}

int sys_usage(struct sys_usage *out)
{
	char status[4096];
	struct rusage ru;
	*out = (struct sys_usage){ 0 };
	int rc = read_file("/proc/self/status", status, sizeof(status));
	if (rc < 0)
		return rc;
	out->rss_bytes = status_kib(status, "VmRSS:");
	out->peak_rss_bytes = status_kib(status, "VmHWM:");
	if (getrusage(RUSAGE_SELF, &ru) != 0)
		return ERR_IO;
	out->cpu_user_ns = SEC(ru.ru_utime.tv_sec) + USEC(ru.ru_utime.tv_usec);
	out->cpu_system_ns = SEC(ru.ru_stime.tv_sec) + USEC(ru.ru_stime.tv_usec);
	return 0;
}

u64 sys_memory_available(void)
{
	char text[4096];

	return read_file("/proc/meminfo", text, sizeof(text)) < 0 ? 0 : status_kib(text, "MemAvailable:");
}

/* ---- the host ---- */

/* The value of KEY=value or KEY="value" at the start of a line; only what is safe in a header is kept. */
static void os_release_value(const char *text, const char *key, char *out, size_t n)
{
	size_t len = strlen(key);
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		if (strncmp(p, key, len) != 0)
			continue;
		size_t used = 0;
		for (p += len; *p && *p != '\n' && used + 1 < n; p++)
			if (*p > ' ' && *p < 0x7f && *p != '"' && *p != '\'' && *p != '/')
				out[used++] = *p;
		out[used] = 0;
		return;
	}
}

static void copy_or(char *out, size_t n, const char *text, const char *otherwise)
{
	const char *from = *text ? text : otherwise;
	size_t len = MIN(strlen(from), n - 1);
	memcpy(out, from, len);
	out[len] = 0;
}

void sys_host(struct sys_host *out)
{
	struct utsname u = { 0 };
	char text[4096] = "", uptime[64] = "";

	*out = (struct sys_host){ 0 };
	(void)uname(&u);
	copy_or(out->arch, sizeof(out->arch), u.machine, "unknown");
	copy_or(out->kernel, sizeof(out->kernel), u.release, "0");
	copy_or(out->hostname, sizeof(out->hostname), u.nodename, "localhost");
	if (read_file("/etc/os-release", text, sizeof(text)) < 0)
		(void)read_file("/usr/lib/os-release", text, sizeof(text));
	char name[64] = "", version[64] = "";
	os_release_value(text, "NAME=", name, sizeof(name));
	os_release_value(text, "VERSION_ID=", version, sizeof(version));
	if (strcmp(name, "DebianGNULinux") == 0)
		name[strlen("Debian")] = 0; /* as the reference says it */
	copy_or(out->os, sizeof(out->os), name, "Linux");
	copy_or(out->os_version, sizeof(out->os_version), version, "0");
	if (read_file("/proc/uptime", uptime, sizeof(uptime)) > 0)
		out->uptime_secs = strtoull(uptime, NULL, 10);
}
