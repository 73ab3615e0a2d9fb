#include "platform/linux/textfile.h"

#include "core/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int from_errno(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case ELOOP:
		return ERR_STATE;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	default:
		return ERR_IO;
	}
}

/* Closing must not hide the reason. */
static int close_with(int fd, int rc)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return rc;
}

/* O_NONBLOCK: a FIFO in its place shall not hang the program. */
static int open_regular(const char *path, int flags, struct stat *st, bool follow)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));

	if (fd < 0)
		return from_errno();
	if (fstat(fd, st))
		return close_with(fd, ERR_IO);
	if (!S_ISREG(st->st_mode))
		return close_with(fd, ERR_STATE);
	return fd;
}

int textfile_read(struct textfile *out, const char *path, size_t max, bool follow)
{
	struct stat st;
	int fd = open_regular(path, O_RDONLY, &st, follow);
	size_t n = 0;

	*out = (struct textfile){ 0 };
	if (fd < 0)
		return fd;
	char *text = malloc(max + 2);
	if (!text)
		return close_with(fd, ERR_NOMEM);
	while (n <= max) {
		ssize_t got = read(fd, text + n, max + 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(text);
			return close_with(fd, ERR_IO);
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (n > max) {
		free(text);
		return ERR_LIMIT;
	}
	text[n] = '\0';
	char *fitting = realloc(text, n + 1);
	*out = (struct textfile){ fitting ? fitting : text, n, st.st_mode & 0777 };
	return 0;
}

void textfile_free(struct textfile *f)
{
	free(f->text);
	*f = (struct textfile){ 0 };
}

static int write_all(int fd, struct span text)
{
	for (size_t done = 0; done < text.n;) {
		ssize_t n = pwrite(fd, text.p + done, text.n - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return from_errno();
		done += (size_t)n;
	}
	return 0;
}

static void sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

int textfile_replace(const char *path, struct span text, unsigned mode)
{
	char temporary[PATH_MAX];

	/* Hidden: what reads all files of a folder shall not read this one. */
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	if ((size_t)snprintf(temporary, sizeof(temporary), "%.*s.%s.tmp", (int)(name - path), path, name) >= sizeof(temporary))
		return ERR_LIMIT;
	unlink(temporary); /* of a run that was killed */
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return from_errno();
	int rc = write_all(fd, text);
	if (rc == 0 && (fchmod(fd, mode) || fsync(fd)))
		rc = from_errno();
	close_with(fd, rc);
	if (rc == 0 && rename(temporary, path))
		rc = from_errno();
	if (rc == 0) {
		sync_folder(path);
		return 0;
	}
	int saved = errno;
	unlink(temporary);
	errno = saved;
	return rc;
}

int textfile_rewrite(const char *path, struct span text, bool shrinks_first)
{
	struct stat st;
	int rc = 0, fd = open_regular(path, O_WRONLY, &st, false);

	if (fd < 0)
		return fd;
	const bool shrinks = (u64)st.st_size > text.n;
	if (shrinks && shrinks_first && ftruncate(fd, (off_t)text.n))
		rc = from_errno();
	if (rc == 0)
		rc = write_all(fd, text);
	if (rc == 0 && shrinks && !shrinks_first && ftruncate(fd, (off_t)text.n))
		rc = from_errno();
	if (rc == 0 && fsync(fd) && errno != EINVAL && errno != EROFS)
		rc = from_errno();
	return close_with(fd, rc);
}
