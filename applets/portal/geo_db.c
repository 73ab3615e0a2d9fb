#include "applets/portal/geo_db.h"

#include "core/base/err.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>

struct geo_db {
	MMDB_s file;
};

int geo_db_open(const char *path, struct geo_db **db, char why[static GEO_DB_WHY_MAX])
{
	struct geo_db *d = calloc(1, sizeof(*d));
	int status, failed;

	*db = NULL;
	if (!d) {
		snprintf(why, GEO_DB_WHY_MAX, "out of memory");
		return ERR_NOMEM;
	}
	errno = 0;
	status = MMDB_open(path, MMDB_MODE_MMAP, &d->file);
	failed = errno;
	if (status == MMDB_SUCCESS) {
		*db = d;
		return 0;
	}
	free(d);
	if (status == MMDB_OUT_OF_MEMORY_ERROR) {
		snprintf(why, GEO_DB_WHY_MAX, "out of memory");
		return ERR_NOMEM;
	}
	if (status == MMDB_FILE_OPEN_ERROR || (status == MMDB_IO_ERROR && failed != EINVAL)) {
		snprintf(why, GEO_DB_WHY_MAX, "%s", strerror(failed));
		return ERR_IO;
	}
	/* mapping an empty file is what the kernel calls an invalid argument */
	snprintf(why, GEO_DB_WHY_MAX, "no database in MaxMind's format, or a broken one%s%s", status == MMDB_IO_ERROR ? "" : ": ",
		 status == MMDB_IO_ERROR ? "" : MMDB_strerror(status));
	return ERR_INVAL;
}

void geo_db_close(struct geo_db *db)
{
	if (!db)
		return;
	MMDB_close(&db->file);
	free(db);
}

const char *geo_db_kind(const struct geo_db *db)
{
	return db->file.metadata.database_type;
}

i64 geo_db_built(const struct geo_db *db)
{
	return (i64)db->file.metadata.build_epoch;
}

static bool read_degrees(MMDB_entry_s *entry, const char *name, double max, double *out)
{
	MMDB_entry_data_s v;

	if (MMDB_get_value(entry, &v, "location", name, NULL) != MMDB_SUCCESS || !v.has_data || v.type != MMDB_DATA_TYPE_DOUBLE)
		return false;
	*out = v.double_value;
	return fabs(*out) <= max;
}

bool geo_db_find(const struct geo_db *db, const struct ip *ip, char region[static 3], char city[static CITY_MAX], struct place *place)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *addr = ip->family == 4 ? (const struct sockaddr *)&in4 : (const struct sockaddr *)&in6;
	MMDB_lookup_result_s found;
	MMDB_entry_data_s v;
	int status;

	memcpy(&in4.sin_addr, ip->b, 4);
	memcpy(&in6.sin6_addr, ip->b, 16);
	if (ip->family == 0)
		return false;
	found = MMDB_lookup_sockaddr(&db->file, addr, &status);
	if (status != MMDB_SUCCESS || !found.found_entry ||
	    MMDB_get_value(&found.entry, &v, "country", "iso_code", NULL) != MMDB_SUCCESS || !v.has_data ||
	    v.type != MMDB_DATA_TYPE_UTF8_STRING || v.data_size != 2 || !isupper((u8)v.utf8_string[0]) || !isupper((u8)v.utf8_string[1]))
		return false;
	memcpy(region, v.utf8_string, 2);
	region[2] = '\0';
	city[0] = '\0';
	if (MMDB_get_value(&found.entry, &v, "city", "names", "en", NULL) == MMDB_SUCCESS && v.has_data && v.type == MMDB_DATA_TYPE_UTF8_STRING)
		city_set(city, SPAN(v.utf8_string, v.data_size));
	*place = (struct place){ .is_known = false };
	place->is_known = read_degrees(&found.entry, "latitude", 90, &place->lat) && read_degrees(&found.entry, "longitude", 180, &place->lon);
	return true;
}
