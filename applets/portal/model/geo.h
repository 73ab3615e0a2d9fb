/* applets/portal/model/geo.h: where a peer is, and which of several is nearest (spec 60 §0.3, §4.5, §4.6). */
#pragma once

#include "core/base/types.h"

struct place {
	bool is_known;
	double lat, lon; /* degrees */
};

#define CITY_MAX 64 /* bytes with the NUL; a longer name is cut between characters */
#define PLACE_STRLEN 24

/* The name of a city as somebody else says it: "" when it is no text. */
void city_set(char out[static CITY_MAX], struct span name);

/* "52.5200,13.4000", which place_parse() reads; "" when unknown. */
const char *place_format(const struct place *p, char out[static PLACE_STRLEN]);

/* "52.52,13.40"; unknown when it does not read so. */
struct place place_parse(struct span coordinates);

/* The middle of a country, in whole degrees: better than nothing where only the country is known. */
struct place place_of_region(const char region[static 3]);

/* Great-circle distance in kilometres on a sphere of radius 6371; infinite when either is unknown. */
double place_distance(const struct place *a, const struct place *b);
