#include "platform/linux/dns_dnsmasq.h"

#include "core/base/err.h"
#include "platform/linux/dns_resolv_conf.h"
#include "platform/linux/textfile.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GENERATED "/var/etc/dnsmasq.conf.*" /* OpenWrt: one for each instance */

static const char *const folders[] = { "/tmp/dnsmasq.*.d", "/tmp/dnsmasq.d", "/etc/dnsmasq.d" };
static const char *const upstreams[] = { "/tmp/resolv.conf.d/resolv.conf.auto", "/tmp/resolv.conf.auto" };

static struct span trimmed(const u8 *p, size_t n)
{
	while (n > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
		n--;
	return SPAN(p, n);
}

static bool setting_of_line(struct span line, const char *key, char out[static DNSMASQ_PATH_MAX])
{
	const u8 *equals = memchr(line.p, '=', line.n);

	if (!equals)
		return false;
	struct span name = trimmed(line.p, (size_t)(equals - line.p));
	struct span value = trimmed(equals + 1, line.n - (size_t)(equals + 1 - line.p));
	if (name.n != strlen(key) || memcmp(name.p, key, name.n) != 0)
		return false;
	const u8 *comma = value.n ? memchr(value.p, ',', value.n) : NULL;
	if (comma)
		value.n = (size_t)(comma - value.p);
	if (value.n == 0 || value.n >= DNSMASQ_PATH_MAX || value.p[0] != '/' || memchr(value.p, '\0', value.n))
		return false;
	memcpy(out, value.p, value.n);
	out[value.n] = '\0';
	return true;
}

bool dnsmasq_setting(struct span text, const char *key, char out[static DNSMASQ_PATH_MAX])
{
	while (text.n > 0) {
		const u8 *nl = memchr(text.p, '\n', text.n);
		size_t n = nl ? (size_t)(nl - text.p) : text.n;
		if (n > 0 && setting_of_line(SPAN(text.p, n), key, out))
			return true;
		n += nl != NULL;
		text = SPAN(text.p + n, text.n - n);
	}
	return false;
}

static bool generated_setting(const char *key, char out[static DNSMASQ_PATH_MAX])
{
	glob_t found;
	bool has = false;

	if (glob(GENERATED, 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc && !has; i++) {
		struct textfile f;
		if (textfile_read(&f, found.gl_pathv[i], DNSMASQ_CONF_MAX, true))
			continue;
		has = dnsmasq_setting(SPAN(f.text, f.n), key, out);
		textfile_free(&f);
	}
	globfree(&found);
	return has;
}

/* Of root or ours: in /tmp anybody can make a folder of that name. */
static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid());
}

static int first_folder(const char *pattern, char out[static DNSMASQ_PATH_MAX])
{
	glob_t found;
	int rc = ERR_NOT_FOUND;

	if (glob(pattern, 0, NULL, &found))
		return rc;
	for (size_t i = 0; i < found.gl_pathc && rc; i++)
		if (is_folder(found.gl_pathv[i]) && (size_t)snprintf(out, DNSMASQ_PATH_MAX, "%s", found.gl_pathv[i]) < DNSMASQ_PATH_MAX)
			rc = 0;
	globfree(&found);
	return rc;
}

int dnsmasq_folder(const struct dns_control_paths *paths, char out[static DNSMASQ_PATH_MAX])
{
	if (paths->dnsmasq_dir) {
		if (!is_folder(paths->dnsmasq_dir) || strlen(paths->dnsmasq_dir) >= DNSMASQ_PATH_MAX)
			return ERR_NOT_FOUND;
		strcpy(out, paths->dnsmasq_dir);
		return 0;
	}
	if (generated_setting("conf-dir", out) && is_folder(out))
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(folders); i++)
		if (first_folder(folders[i], out) == 0)
			return 0;
	return ERR_NOT_FOUND;
}

void dnsmasq_upstreams(const struct dns_control_paths *paths, char out[static DNSMASQ_PATH_MAX])
{
	const char *path = paths->dnsmasq_resolv;

	if (!path && generated_setting("resolv-file", out))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(upstreams) && !path; i++)
		if (access(upstreams[i], R_OK) == 0)
			path = upstreams[i];
	if (!path)
		path = paths->resolv_conf ? paths->resolv_conf : RESOLV_CONF_DEFAULT;
	snprintf(out, DNSMASQ_PATH_MAX, "%s", path);
}

const char *dnsmasq_restart_command(const struct dns_control_paths *paths)
{
	if (paths->dnsmasq_restart)
		return paths->dnsmasq_restart;
	return access("/run/systemd/system", F_OK) == 0 ? "systemctl restart dnsmasq" : "/etc/init.d/dnsmasq restart";
}

static int drop_in(const char *folder, char out[static 2 * DNSMASQ_PATH_MAX])
{
	int n = snprintf(out, 2 * DNSMASQ_PATH_MAX, "%s/" DNS_CONTROL_DROP_IN, folder);

	return n < 0 || (unsigned)n >= 2 * DNSMASQ_PATH_MAX ? ERR_LIMIT : 0;
}

int dnsmasq_put(const char *folder, const struct ip *sentinels, size_t n, bool *is_changed)
{
	char path[2 * DNSMASQ_PATH_MAX], text[8192], address[IP_STRLEN];
	struct textfile old = { 0 };
	int rc = drop_in(folder, path);

	if (rc)
		return rc;
	/* Answers "no such name" must not outlive the moment at which the name becomes a resource. */
	size_t len = (size_t)snprintf(text, sizeof(text),
				      "# Written by emberbox's client while its tunnel is up, removed when it ends.\n"
				      "no-resolv\nno-negcache\n");
	for (size_t i = 0; i < n && i < DNS_CONTROL_SERVERS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "server=%s\n", ip_format(&sentinels[i], address));
	if (textfile_read(&old, path, DNSMASQ_CONF_MAX, false) == 0 && old.n == len && memcmp(old.text, text, len) == 0)
		*is_changed = false;
	else
		*is_changed = true;
	textfile_free(&old);
	return *is_changed ? textfile_replace(path, SPAN(text, len), 0644) : 0;
}

int dnsmasq_remove(const char *folder, bool *is_changed)
{
	char path[2 * DNSMASQ_PATH_MAX];
	int rc = drop_in(folder, path);

	*is_changed = false;
	if (rc)
		return rc;
	if (unlink(path))
		return errno == ENOENT ? 0 : ERR_IO;
	*is_changed = true;
	return 0;
}
