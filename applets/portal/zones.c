#include "applets/portal/zones.h"

#include "applets/portal/model/zone.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LEN 64
#define FILE_MAX 65536

static struct {
	char name[NAME_MAX_LEN];
	struct zone zone;
} kept[ZONES_MAX];
static u32 n_kept;

/* Names are paths below the database: nothing that leads out of it. */
static bool is_name(const char *name)
{
	if (!isalpha((unsigned char)name[0]) || strstr(name, "//"))
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("/_+-", *p))
			return false;
	return true;
}

static int load(const char *name, struct zone *out)
{
	char path[128];
	u8 *buf;
	ssize_t n;
	int fd, rc;

	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ERR_NOT_FOUND;
	buf = malloc(FILE_MAX);
	n = buf ? read(fd, buf, FILE_MAX) : -1;
	close(fd);
	rc = n > 0 ? zone_parse(SPAN(buf, (size_t)n), out) : ERR_NOT_FOUND;
	free(buf);
	return rc;
}

static int offset_in(void *ctx, struct span zone, i64 utc, i64 *offset)
{
	char name[NAME_MAX_LEN];
	struct zone z;

	(void)ctx;
	*offset = 0;
	if (zone.n == 0 || zone.n >= sizeof(name))
		return ERR_NOT_FOUND;
	memcpy(name, zone.p, zone.n);
	name[zone.n] = '\0';
	if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0)
		return 0;
	for (u32 i = 0; i < n_kept; i++)
		if (strcmp(kept[i].name, name) == 0) {
			*offset = zone_offset(&kept[i].zone, utc);
			return 0;
		}
	if (!is_name(name) || load(name, &z))
		return ERR_NOT_FOUND;
	*offset = zone_offset(&z, utc);
	if (n_kept < ZONES_MAX) {
		memcpy(kept[n_kept].name, name, sizeof(name));
		kept[n_kept++].zone = z;
	} else {
		zone_deinit(&z);
	}
	return 0;
}

const struct zones system_zones = { offset_in, NULL };
