#include "applets/common/ident.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/crypto/hash.h"
#include "core/ip/addr.h"
#include "core/json/json.h"
#include "platform/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536u
#define UNUSABLE_SERIAL "123456789" /* what some boards ship with */

struct role_facts {
	const char *id_file;
	const char *app_id; /* HMAC key over machine-id, spec 10 §1.5 */
	bool empty_is_unset;
};

static const struct role_facts facts[] = {
	[IDENT_CLIENT] = { "/var/lib/dev.firezone.client/config/firezone-id.json", "e1e465ce763e4759945c650ac334501f", false },
	[IDENT_GATEWAY] = { "/var/lib/firezone/gateway_id", "753b38f9f96947ef8083802d5909a372", true },
};

static struct span text_span(const char *s)
{
	return SPAN(s, strlen(s));
}

/* Bytes read, or -1. Files below /proc and /sys tell no size beforehand. */
static ssize_t read_file(const char *path, u8 *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0)
		return -1;
	while (n < cap && (got = read(fd, buf + n, cap - n)) > 0)
		n += (size_t)got;
	close(fd);
	return got < 0 ? -1 : (ssize_t)n;
}

/* --- firezone-id ---------------------------------------------------------------------------------------------------------------- */

static bool id_from_file(const char *path, char out[static IDENT_ID_MAX])
{
	u8 text[4096];
	ssize_t n = read_file(path, text, sizeof(text));
	struct cJSON *root;
	struct json_get g = JSON_GET;

	if (n <= 0 || json_parse(SPAN(text, (size_t)n), NULL, &root))
		return false;
	const char *id = json_str(&g, root, "id");
	bool is_good = g.err == 0 && *id && strlen(id) < IDENT_ID_MAX;
	if (is_good)
		strcpy(out, id);
	json_free(root);
	if (is_good && chmod(path, 0640))
		is_good = errno == EPERM || errno == EROFS || errno == EACCES; /* readable is what counts */
	return is_good;
}

static bool id_from_machine(const char *path, const char *app_id, char out[static IDENT_ID_MAX])
{
	u8 content[512], mac[SHA256_LEN];
	ssize_t n = read_file(path, content, sizeof(content));

	if (n <= 0)
		return false;
	hmac_sha256(mac, text_span(app_id), SPAN(content, (size_t)n));
	hex_encode(out, IDENT_ID_MAX, SPAN(mac, sizeof(mac)));
	return true;
}

static void random_uuid(struct rng *rng, char out[static UUID_STRLEN])
{
	struct uuid id = uuid_random(rng);

	uuid_format(&id, out);
}

/* mkdir -p with the mode that the reference forces upon the last folder. */
static int make_folder(const char *file, char why[static IDENT_WHY_BYTES])
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", file);
	char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	*slash = 0;
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
	if (mkdir(path, 0770) && errno != EEXIST) {
		snprintf(why, IDENT_WHY_BYTES, "cannot create the folder %.300s: %s", path, strerror(errno));
		return ERR_IO;
	}
	if (chmod(path, 0770) && errno != EPERM && errno != EROFS) {
		snprintf(why, IDENT_WHY_BYTES, "cannot set the mode of %.300s: %s", path, strerror(errno));
		return ERR_IO;
	}
	return 0;
}

/* Written aside and linked into place: whole or not at all, and never over an id that is already there. */
static int save_id(const char *path, const char *id, char why[static IDENT_WHY_BYTES])
{
	char temp[PATH_MAX], text[IDENT_ID_MAX + 16];
	int n = snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id);
	int rc = ERR_IO;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.%ld.tmp", path, (long)getpid()) >= sizeof(temp))
		return ERR_IO;
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		goto out;
	bool is_written = write(fd, text, (size_t)n) == n && fchmod(fd, 0640) == 0 && fsync(fd) == 0;
	close(fd);
	if (is_written && (link(temp, path) == 0 || errno == EEXIST))
		rc = 0;
out:
	if (rc)
		snprintf(why, IDENT_WHY_BYTES, "cannot save the identity of this device in %.300s: %s", path, strerror(errno));
	unlink(temp);
	return rc;
}

static int id_by_chance(const char *path, struct rng *rng, char out[static IDENT_ID_MAX], char why[static IDENT_WHY_BYTES])
{
	char uuid[UUID_STRLEN];
	u8 hash[SHA256_LEN];
	int rc = make_folder(path, why);

	if (rc)
		return rc;
	random_uuid(rng, uuid);
	sha256(hash, text_span(uuid));
	hex_encode(out, IDENT_ID_MAX, SPAN(hash, sizeof(hash)));
	return save_id(path, out, why);
}

int ident_firezone_id(enum ident_role role, const char *configured, const struct ident_paths *paths, struct rng *rng,
		      char out[static IDENT_ID_MAX], char why[static IDENT_WHY_BYTES])
{
	const struct role_facts *f = &facts[role];
	const char *id_file = paths && paths->id_file ? paths->id_file : f->id_file;
	const char *machine_id = paths && paths->machine_id ? paths->machine_id : "/etc/machine-id";

	if (configured && (*configured || !f->empty_is_unset)) {
		if (strlen(configured) >= IDENT_ID_MAX) {
			snprintf(why, IDENT_WHY_BYTES, "the firezone-id is longer than %u characters", IDENT_ID_MAX - 1);
			return ERR_INVAL;
		}
		strcpy(out, configured);
		return 0;
	}
	if (id_from_file(id_file, out) || id_from_machine(machine_id, f->app_id, out))
		return 0;
	return id_by_chance(id_file, rng, out, why);
}

void ident_external_id(const char *firezone_id, char out[static IDENT_ID_MAX])
{
	struct uuid ignored;
	u8 hash[SHA256_LEN];

	if (uuid_parse(text_span(firezone_id), &ignored)) {
		snprintf(out, IDENT_ID_MAX, "%s", firezone_id);
		return;
	}
	sha256(hash, text_span(firezone_id));
	hex_encode(out, IDENT_ID_MAX, SPAN(hash, sizeof(hash)));
}

void ident_name(const char *configured, struct rng *rng, char out[static IDENT_ID_MAX])
{
	char host[IDENT_ID_MAX] = "";

	if (configured) {
		snprintf(out, IDENT_ID_MAX, "%s", configured);
		return;
	}
	if (gethostname(host, sizeof(host) - 1) == 0 && *host && utf8_is_valid(text_span(host)))
		strcpy(out, host);
	else
		random_uuid(rng, out);
}

/* --- device ------------------------------------------------------------------------------------------------------------------------ */

/* The i-th (from 1) of the strings behind a structure; they end with an empty one. */
static struct span smbios_string(struct rd strings, u8 i)
{
	while (i > 0 && rd_left(&strings) > 0 && *strings.p != 0) {
		const u8 *nul = memchr(strings.p, 0, rd_left(&strings));
		if (!nul)
			break;
		struct span s = rd_bytes(&strings, (size_t)(nul - strings.p));
		rd_skip(&strings, 1);
		if (--i == 0)
			return s;
	}
	return SPAN_NONE;
}

static void copy_serial(struct ident_device *out, struct span s)
{
	while (s.n && s.p[s.n - 1] == ' ')
		s.n--;
	if (s.n == 0 || s.n >= sizeof(out->serial) || !utf8_is_valid(s))
		return;
	if (s.n == sizeof(UNUSABLE_SERIAL) - 1 && memcmp(s.p, UNUSABLE_SERIAL, s.n) == 0)
		return;
	memcpy(out->serial, s.p, s.n);
	out->serial[s.n] = 0;
}

/* The first three fields are little endian (SMBIOS 7.2.1). All zeros and all ones mean "not set". */
static void copy_uuid(struct ident_device *out, const u8 *raw)
{
	static const u8 order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct uuid id;
	u8 all_or = 0, all_and = 0xff;

	for (unsigned i = 0; i < 16; i++) {
		id.b[i] = raw[order[i]];
		all_or |= raw[i];
		all_and &= raw[i];
	}
	if (all_or != 0 && all_and != 0xff)
		uuid_format(&id, out->uuid);
}

static void read_system(struct ident_device *out, struct span body, struct rd strings)
{
	enum { SERIAL_AT = 7 - 4, UUID_AT = 8 - 4 }; /* offsets behind the four bytes of header */

	if (body.n > SERIAL_AT)
		copy_serial(out, smbios_string(strings, body.p[SERIAL_AT]));
	if (body.n >= UUID_AT + 16)
		copy_uuid(out, body.p + UUID_AT);
}

void ident_parse_smbios(struct span table, struct ident_device *out)
{
	struct rd r = rd_span(table);

	memset(out, 0, sizeof(*out));
	while (rd_left(&r) >= 4) {
		u8 type = rd_u8(&r), len = rd_u8(&r);
		rd_skip(&r, 2);
		if (len < 4)
			return;
		struct span body = rd_bytes(&r, (size_t)len - 4);
		if (!rd_ok(&r))
			return;
		if (type == 1) {
			read_system(out, body, r);
			return;
		}
		const u8 *end = memmem(r.p, rd_left(&r), "\0\0", 2);
		if (!end)
			return;
		rd_skip(&r, (size_t)(end - r.p) + 2);
	}
}

void ident_device(const struct ident_paths *paths, struct ident_device *out)
{
	const char *dir = paths && paths->dmi_dir ? paths->dmi_dir : "/sys/firmware/dmi/tables";
	char path[PATH_MAX];
	u8 *table = malloc(FILE_BYTES_MAX);

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "%s/DMI", dir);
	ssize_t n = table ? read_file(path, table, FILE_BYTES_MAX) : -1;
	if (n > 0)
		ident_parse_smbios(SPAN(table, (size_t)n), out);
	free(table);
}

/* --- user agent -------------------------------------------------------------------------------------------------------------------- */

/* "24.04" → "24.4.0"; what is not up to three numbers stays as it is (spec 10 §1.4). */
static void semantic_version(const char *text, char *out, size_t cap)
{
	unsigned part[3] = { 0 };
	const char *s = text;

	for (unsigned i = 0; i < 3; i++) {
		size_t digits = strspn(s, "0123456789");
		if (digits == 0 || digits > 6)
			goto raw;
		part[i] = (unsigned)strtoul(s, NULL, 10);
		s += digits;
		if (*s == 0) {
			snprintf(out, cap, "%u.%u.%u", part[0], part[1], part[2]);
			return;
		}
		if (*s++ != '.')
			goto raw;
	}
raw:
	snprintf(out, cap, "%s", *text ? text : "Unknown");
}

void ident_user_agent(const struct sys_host *host, const char *component, char out[static IDENT_UA_MAX])
{
	char version[64];
	char *to = out;

	semantic_version(host->os_version, version, sizeof(version));
	snprintf(out, IDENT_UA_MAX, "%s/%s %s (%s; %s)", host->os, version, component, host->arch, host->kernel);
	for (const char *from = out; *from; from++)
		if (*from >= 0x20 && *from < 0x7f)
			*to++ = *from;
	*to = 0;
}
