/* applets/portal/geo_db.h: where an address is, by a file in MaxMind's format, such as GeoLite2-City.mmdb (spec 60 §0.3).
 *
 * The file is mapped, not read: a newer one takes its place by rename (as geoipupdate does), and is opened anew; one that is
 * shortened in place ends the process. Any database serves whose entries have country.iso_code, and city.names.en, location.latitude
 * and location.longitude if it knows cities.
 */
#pragma once

#include "applets/portal/model/geo.h"
#include "core/ip/addr.h"

#define GEO_DB_WHY_MAX 256

struct geo_db;

/* ERR_IO, ERR_INVAL (not such a file, or broken), ERR_NOMEM, with the reason in words. */
int geo_db_open(const char *path, struct geo_db **db, char why[static GEO_DB_WHY_MAX]) MUST_CHECK;
void geo_db_close(struct geo_db *db); /* NULL is fine */

/* "GeoLite2-City", and when it was made, in Unix seconds. */
const char *geo_db_kind(const struct geo_db *db);
i64 geo_db_built(const struct geo_db *db);

/* Whether it knows the country. City ("": in English) and place may be unknown all the same. Otherwise all are left alone. */
bool geo_db_find(const struct geo_db *db, const struct ip *ip, char region[static 3], char city[static CITY_MAX], struct place *place);
