/* platform/sys.h: the process and its host: clocks, randomness, log lines, privileges, limits, service manager. */
#pragma once

#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/base/time.h"

u64 sys_now(void);  /* monotonic ns, goes on counting while the machine sleeps */
u64 sys_wall(void); /* ns since the Unix epoch */

/* The same two in the shape of `struct loop_clock`. */
u64 sys_clock_now(void *ctx);
u64 sys_clock_wall(void *ctx);
/* CPU time of the calling thread, ns. */
u64 sys_cpu(void);

/* The system's random source. Ends the process when there is none, for nothing of ours is safe without. */
struct rng *sys_rng(void);

/* Lines to a descriptor (1 or 2), coloured when it is a terminal and NO_COLOR is not set. Whole lines, never blocking for ever: what
 * a full pipe does not take within 100 ms is dropped. */
void sys_log_sink(struct log_sink *out, int fd, enum log_format format);

/* `state` ("READY=1", "STOPPING=1", …) to $NOTIFY_SOCKET. 0 also when nobody asks for it. */
int sys_notify(const char *state);

/* Whether this process may configure the network: effective CAP_NET_ADMIN. */
bool sys_has_net_admin(void);

#define SYS_KEEP_NET_ADMIN 1u    /* routes, marks, firewall at exit */
#define SYS_KEEP_NET_BIND 2u     /* ports below 1024 opened later */

/* Gives up every capability but those named, for good (bounding set, no_new_privs), and switches to `user` unless NULL.
 * ERR_NOT_FOUND: no such user. ERR_DENIED. Call when devices and sockets are open. */
int sys_drop_privileges(unsigned keep, const char *user) MUST_CHECK;

/* Secrets stay out of core files and swap helpers: no core dumps, not dumpable. */
void sys_protect_memory(void);

/* Raises the limit of open descriptors as near to `want` as allowed; returns what it is now. */
u64 sys_limit_files(u64 want);

/* Writes 128 and 16 MiB to net.core.rmem_max and wmem_max (--inc-buf, spec 30 §18); ERR_DENIED is usual in containers. */
int sys_raise_socket_buffers(void);

/* Writes a short text into a file below /proc/sys; `name` like "net/ipv4/ip_forward". */
int sys_sysctl_set(const char *name, const char *value);
/* Its content without the newline. */
int sys_sysctl_get(const char *name, char *buf, size_t n);

struct sys_usage {
	u64 rss_bytes, peak_rss_bytes;
	u64 cpu_user_ns, cpu_system_ns;
};
int sys_usage(struct sys_usage *out);

/* Memory that the machine could give without swapping; 0 when the system does not say. */
u64 sys_memory_available(void);

/* For user agents and the first log line, e.g. "Debian", "12", "x86_64", "6.18.44"; never empty. */
struct sys_host {
	char os[64], os_version[64], arch[32], kernel[64], hostname[256];
	u64 uptime_secs;
};
void sys_host(struct sys_host *out);
