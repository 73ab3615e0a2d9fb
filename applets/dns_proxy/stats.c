#include "applets/dns_proxy/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct stats {
	int fd;
	struct loop_fd *watch;
	void (*write)(void *ctx, struct json_out *o);
	void *ctx;
	struct sockaddr_un at;
};

static bool address(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(out->sun_path))
		return false;
	memcpy(out->sun_path, path, strlen(path) + 1);
	return true;
}

/* >= 0: connected. */
static int dial(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
		return fd;
	if (fd >= 0) {
		int e = errno;
		close(fd);
		errno = e;
	}
	return -1;
}

/* The text is far shorter than a socket's buffer: it is taken at once or not at all. */
static void serve(struct stats *s, int fd)
{
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	s->write(s->ctx, &o);
	json_close(&o);
	if (json_ok(&o)) {
		struct span text = json_text(&o);
		struct iovec parts[2] = { { (void *)(uintptr_t)text.p, text.n }, { "\n", 1 } };
		struct msghdr h = { .msg_iov = parts, .msg_iovlen = 2 };
		(void)!sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	json_out_free(&o);
}

static void acceptable(void *ctx, int listener, unsigned events, u64 now)
{
	struct stats *s = ctx;

	(void)events, (void)now;
	for (u32 i = 0; i < STATS_CONNS_PER_WAKE; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		serve(s, fd);
		close(fd);
	}
}

static int listen_at(const struct sockaddr_un *at)
{
	int other = dial(at);
	struct stat st;

	if (other >= 0) {
		close(other);
		errno = EADDRINUSE;
		return ERR_EXISTS;
	}
	if (lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(at->sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 && listen(fd, STATS_CONNS_PER_WAKE) == 0)
		return fd;
	int e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return ERR_IO;
}

struct stats *stats_open(struct loop *l, const char *path, void (*write)(void *ctx, struct json_out *o), void *ctx, int *rc)
{
	struct stats *s = calloc(1, sizeof(*s));

	*rc = s ? ERR_INVAL : ERR_NOMEM;
	if (!s || !address(path, &s->at)) {
		free(s);
		return NULL;
	}
	s->write = write;
	s->ctx = ctx;
	s->fd = *rc = listen_at(&s->at);
	if (s->fd >= 0)
		s->watch = loop_fd_add(l, s->fd, LOOP_READ, acceptable, s);
	if (s->watch)
		return s;
	if (s->fd >= 0) {
		close(s->fd);
		*rc = ERR_NOMEM;
	}
	free(s);
	return NULL;
}

void stats_close(struct stats *s)
{
	if (!s)
		return;
	loop_fd_del(s->watch);
	close(s->fd);
	unlink(s->at.sun_path);
	free(s);
}

int stats_print(const char *path)
{
	struct sockaddr_un at;
	char buf[4096];
	ssize_t n = -1;
	size_t all = 0;
	int fd = address(path, &at) ? dial(&at) : -1;

	if (fd < 0) {
		fprintf(stderr, "emberbox dns-proxy: cannot ask %s: %s; is it running, with this --stats-socket?\n", path, strerror(errno));
		return 1;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			all += fwrite(buf, 1, (size_t)n, stdout);
	close(fd);
	return n == 0 && all > 0 && fflush(stdout) == 0 ? 0 : 1;
}
