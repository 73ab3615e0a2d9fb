#include "platform/linux/dns_dnsmasq.h"

#include "core/base/err.h"
#include "platform/linux/dns_resolv_conf.h"
#include "platform/linux/textfile.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names of one folder that begin and end so; `ends` NULL: the one of that name. */
struct family {
	const char *folder, *begins, *ends;
};

static const struct family generated = { "/var/etc", "dnsmasq.conf.", "" }; /* OpenWrt: one for each instance */
static const struct family folders[] = { { "/tmp", "dnsmasq.", ".d" }, { "/tmp", "dnsmasq.d", NULL }, { "/etc", "dnsmasq.d", NULL } };
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

static bool is_of(const struct family *f, const char *name)
{
	size_t n = strlen(name), begins = strlen(f->begins), ends = f->ends ? strlen(f->ends) : 0;

	return !f->ends ? strcmp(name, f->begins) == 0 :
	       n >= begins + ends &&
		       memcmp(name, f->begins, begins) == 0 && memcmp(name + n - ends, f->ends, ends) == 0;
}

/* The path of the family's next member in the order of names, behind `path`; at first that is "". glob() would do this with 25 KB of libc. */
static bool next_of(const struct family *f, char path[static DNSMASQ_PATH_MAX])
{
	char after[NAME_MAX + 1], best[NAME_MAX + 1] = "";
	const char *slash = strrchr(path, '/');
	const struct dirent *e;
	DIR *dir = opendir(f->folder);

	snprintf(after, sizeof(after), "%s", slash ? slash + 1 : "");
	while (dir && (e = readdir(dir)))
		if (is_of(f, e->d_name) && strcmp(e->d_name, after) > 0 && (!best[0] || strcmp(e->d_name, best) < 0))
			snprintf(best, sizeof(best), "%s", e->d_name);
	if (dir)
		closedir(dir);
	return best[0] && (size_t)snprintf(path, DNSMASQ_PATH_MAX, "%s/%s", f->folder, best) < DNSMASQ_PATH_MAX;
}

static bool generated_setting(const char *key, char out[static DNSMASQ_PATH_MAX])
{
	char path[DNSMASQ_PATH_MAX] = "";
	bool has = false;

	while (!has && next_of(&generated, path)) {
		struct textfile f;
		if (textfile_read(&f, path, DNSMASQ_CONF_MAX, true))
			continue;
		has = dnsmasq_setting(SPAN(f.text, f.n), key, out);
		textfile_free(&f);
	}
	return has;
}

/* Of root or ours: in /tmp anybody can make a folder of that name. */
static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid());
}

static int first_folder(const struct family *f, char out[static DNSMASQ_PATH_MAX])
{
	out[0] = '\0';
	while (next_of(f, out))
		if (is_folder(out))
			return 0;
	return ERR_NOT_FOUND;
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
		if (first_folder(&folders[i], out) == 0)
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
