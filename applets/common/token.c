#include "applets/common/token.h"

#include "core/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int token_from_text(struct token *t, const char *text, char why[static TOKEN_WHY_BYTES])
{
	size_t n = 0;

	for (; *text; text++) {
		if (is_space(*text))
			continue;
		if (*text < 0x21 || *text > 0x7e) {
			snprintf(why, TOKEN_WHY_BYTES, "the token contains a character that is not printable ASCII");
			goto fail;
		}
		if (n + 1 >= sizeof(t->text)) {
			snprintf(why, TOKEN_WHY_BYTES, "the token is longer than %u characters", TOKEN_BYTES_MAX - 1);
			goto fail;
		}
		t->text[n++] = *text;
	}
	t->text[n] = 0;
	if (n > 0)
		return 0;
	snprintf(why, TOKEN_WHY_BYTES, "the token is empty");
fail:
	token_wipe(t);
	return ERR_INVAL;
}

int token_from_env(struct token *t, const char *variable, char why[static TOKEN_WHY_BYTES])
{
	char *value = getenv(variable);
	int rc;

	if (!value || !*value) {
		snprintf(why, TOKEN_WHY_BYTES, "the environment variable %s is not set", variable);
		return ERR_NOT_FOUND;
	}
	rc = token_from_text(t, value, why);
	sodium_memzero(value, strlen(value)); /* it would stay readable in /proc/PID/environ */
	unsetenv(variable);
	return rc;
}

static int check_private(int fd, const char *path, char why[static TOKEN_WHY_BYTES])
{
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(why, TOKEN_WHY_BYTES, "cannot inspect the token file %s: %s", path, strerror(errno));
		return ERR_IO;
	}
	if (st.st_uid != 0 || st.st_gid != 0) {
		snprintf(why, TOKEN_WHY_BYTES,
			 "the token file %s must belong to root:root, it belongs to %u:%u; run: chown root:root %s", path,
			 (unsigned)st.st_uid, (unsigned)st.st_gid, path);
		return ERR_DENIED;
	}
	if (st.st_mode & 0177) {
		snprintf(why, TOKEN_WHY_BYTES,
			 "the token file %s must be readable by its owner alone, its mode is %03o; run: chmod 600 %s", path,
			 (unsigned)(st.st_mode & 0777), path);
		return ERR_DENIED;
	}
	return 0;
}

int token_from_file(struct token *t, const char *path, bool is_private, char why[static TOKEN_WHY_BYTES])
{
	char buf[2 * TOKEN_BYTES_MAX];
	size_t n = 0;
	int rc = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		snprintf(why, TOKEN_WHY_BYTES, "cannot read the token file %s: %s", path, strerror(errno));
		return errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_DENIED : ERR_IO;
	}
	if (is_private)
		rc = check_private(fd, path, why);
	while (rc == 0 && n + 1 < sizeof(buf)) {
		ssize_t got = read(fd, buf + n, sizeof(buf) - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			snprintf(why, TOKEN_WHY_BYTES, "cannot read the token file %s: %s", path, strerror(errno));
			rc = ERR_IO;
		}
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (rc == 0 && memchr(buf, 0, n)) {
		snprintf(why, TOKEN_WHY_BYTES, "the token file %s holds binary data", path);
		rc = ERR_INVAL;
	}
	buf[n] = 0;
	if (rc == 0) {
		char inner[TOKEN_WHY_BYTES];
		rc = token_from_text(t, buf, inner);
		if (rc)
			snprintf(why, TOKEN_WHY_BYTES, "the token file %.300s cannot be used: %.150s", path, inner);
	}
	sodium_memzero(buf, sizeof(buf));
	close(fd);
	return rc;
}

void token_wipe(struct token *t)
{
	sodium_memzero(t, sizeof(*t));
}
