#include "applets/common/logging.h"

#include "core/base/calendar.h"
#include "core/base/err.h"
#include "core/base/time.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILTER_BYTES_MAX 1024u

static struct {
	int fd;
	bool is_open; /* all zero at start: 4 KB less in the binary */
	char path[PATH_MAX];
} file;

static void write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* a full disk or closed pipe must not stop the tunnel */
		p += done;
		n -= (size_t)done;
	}
}

static void reopen_if_deleted(void)
{
	struct stat st;

	if (fstat(file.fd, &st) == 0 && st.st_nlink > 0)
		return;
	int fd = open(file.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return;
	close(file.fd);
	file.fd = fd;
}

static void write_line(void *ctx, const char *line, size_t n)
{
	(void)ctx;
	write_all(STDOUT_FILENO, line, n);
	if (file.is_open) {
		reopen_if_deleted();
		write_all(file.fd, line, n);
	}
}

static u64 wall_now(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
}

static int open_file(const char *dir, const char *program)
{
	char name[128], latest[PATH_MAX], stamp[32];
	u64 now = (u64)time(NULL), secs = now % 86400;
	struct calendar_date d = calendar_date(now / 86400);

	if (mkdir(dir, 0755) && errno != EEXIST)
		goto fail;
	snprintf(stamp, sizeof(stamp), "%04u-%02u-%02u-%02u-%02u-%02u", d.year % 10000, d.month % 100, d.day % 100, (unsigned)(secs / 3600),
		 (unsigned)(secs / 60 % 60), (unsigned)(secs % 60));
	snprintf(name, sizeof(name), "%s.%s.log", program, stamp);
	if ((size_t)snprintf(file.path, sizeof(file.path), "%s/%s", dir, name) >= sizeof(file.path) ||
	    (size_t)snprintf(latest, sizeof(latest), "%s/latest", dir) >= sizeof(latest)) {
		errno = ENAMETOOLONG;
		goto fail;
	}
	file.fd = open(file.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	file.is_open = file.fd >= 0;
	if (!file.is_open)
		goto fail;
	unlink(latest);
	if (symlink(name, latest))
		fprintf(stderr, "%s: cannot link %s: %s\n", program, latest, strerror(errno));
	return 0;
fail:
	fprintf(stderr, "%s: cannot log to the directory %s: %s\n", program, dir, strerror(errno));
	return 1;
}

int logging_setup(const struct logging *cfg)
{
	const char *env = getenv("RUST_LOG");
	char filter[FILTER_BYTES_MAX];
	const char *bad = "";
	struct log_sink sink = {
		.write = write_line,
		.wall_ns = wall_now,
		.format = cfg->format,
		.is_coloured = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
	};

	if (!env || !*env)
		env = "info";
	int n = snprintf(filter, sizeof(filter), "%s%s%s", env, cfg->extra_filter ? "," : "",
			 cfg->extra_filter ? cfg->extra_filter : "");
	if (n < 0 || (size_t)n >= sizeof(filter)) {
		fprintf(stderr, "%s: RUST_LOG is longer than %u bytes\n", cfg->program, FILTER_BYTES_MAX);
		return 2;
	}
	if (log_setup(&sink, filter, &bad)) {
		fprintf(stderr,
			"%s: RUST_LOG: \"%s\" is not understood; write a comma list of LEVEL or TARGET=LEVEL with "
			"off, error, warn, info, debug or trace\n",
			cfg->program, bad);
		return 2;
	}
	if (cfg->dir && open_file(cfg->dir, cfg->program))
		return 1;
	if (cfg->dir)
		logging_clean(cfg->dir, LOG_DIR_BYTES_MAX, (u64)time(NULL));
	return 0;
}

struct log_entry {
	char name[NAME_MAX + 1];
	u64 bytes;
	u64 mtime;
};

#define ENTRIES_MAX 4096u

static int by_mtime(const void *a, const void *b)
{
	const struct log_entry *x = a, *y = b;

	return x->mtime < y->mtime ? -1 : x->mtime > y->mtime;
}

static size_t list_logs(DIR *d, struct log_entry *out)
{
	struct dirent *e;
	size_t n = 0;

	while (n < ENTRIES_MAX && (e = readdir(d))) {
		size_t len = strlen(e->d_name);
		struct stat st;
		if (len < 4 || strcmp(e->d_name + len - 4, ".log") != 0)
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		memcpy(out[n].name, e->d_name, len + 1);
		out[n].bytes = (u64)st.st_size;
		out[n].mtime = (u64)st.st_mtime;
		n++;
	}
	return n;
}

unsigned logging_clean(const char *dir, u64 max_bytes, u64 now_secs)
{
	struct log_entry *logs = malloc(ENTRIES_MAX * sizeof(*logs));
	DIR *d = opendir(dir);
	unsigned gone = 0;
	u64 sum = 0;

	if (!logs || !d)
		goto out;
	size_t n = list_logs(d, logs);
	qsort(logs, n, sizeof(*logs), by_mtime);
	for (size_t i = 0; i < n; i++)
		sum += logs[i].bytes;
	for (size_t i = 0; i + 1 < n && sum > max_bytes; i++) {
		if (logs[i].mtime + LOG_FRESH_SECS > now_secs)
			break;
		if (unlinkat(dirfd(d), logs[i].name, 0) == 0) {
			sum -= logs[i].bytes;
			gone++;
		}
	}
out:
	if (d)
		closedir(d);
	free(logs);
	return gone;
}
