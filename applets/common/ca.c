#include "applets/common/ca.h"

#include "core/base/err.h"
#include "core/http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const system_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch, OpenWrt */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
	"/etc/ssl/ca-bundle.pem",             /* openSUSE */
	"/etc/ssl/cert.pem",                  /* Alpine without ca-certificates, BSD */
};

static const char *find_bundle(void)
{
	const char *env = getenv("SSL_CERT_FILE");

	if (env && *env)
		return env;
	for (size_t i = 0; i < ARRAY_LEN(system_bundles); i++)
		if (access(system_bundles[i], R_OK) == 0)
			return system_bundles[i];
	return NULL;
}

/* The whole file, to be freed. NULL: errno says why. */
static u8 *read_file(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	u8 *buf = NULL;

	*n = 0;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size > CA_FILE_MAX)
		errno = EFBIG;
	else
		buf = malloc((size_t)st.st_size + 1);
	while (buf && *n < (size_t)st.st_size) {
		ssize_t got = read(fd, buf + *n, (size_t)st.st_size - *n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(buf);
			buf = NULL;
			break;
		}
		if (got == 0)
			break;
		*n += (size_t)got;
	}
	close(fd);
	return buf;
}

int ca_load(const char *file, struct tls_anchors **out, char *why, size_t why_cap)
{
	const char *path = file ? file : find_bundle();
	size_t n;
	u8 *pem;
	int rc;

	*out = NULL;
	if (!path) {
		snprintf(why, why_cap, "no bundle of trusted certificates was found on this system; install ca-certificates or use --ca FILE");
		return ERR_NOT_FOUND;
	}
	pem = read_file(path, &n);
	if (!pem) {
		snprintf(why, why_cap, "the trusted certificates in %.200s cannot be read: %s", path, strerror(errno));
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	}
	rc = tls_anchors_new(SPAN(pem, n), out, NULL);
	free(pem);
	if (rc)
		snprintf(why, why_cap, "%.200s holds no usable certificate: %s", path, err_str(rc));
	return rc;
}
