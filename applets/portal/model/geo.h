/* applets/portal/model/geo.h: where a peer is, and which of several is nearest (spec 60 §0.3, §4.5, §4.6). */
#pragma once

#include "core/base/types.h"

struct place {
	bool is_known;
	double lat, lon; /* degrees */
};

/* "52.52,13.40"; unknown when it does not read so. */
struct place place_parse(struct span coordinates);

/* The middle of a country, in whole degrees: better than nothing where only the country is known. */
struct place place_of_region(const char region[static 3]);

/* Great-circle distance in kilometres on a sphere of radius 6371; infinite when either is unknown. */
double place_distance(const struct place *a, const struct place *b);
