#include "applets/portal/model/geo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EARTH_RADIUS_KM 6371.0

struct place place_parse(struct span coordinates)
{
	struct place p = { .is_known = false };
	char text[64], *end;

	if (coordinates.n == 0 || coordinates.n >= sizeof(text))
		return p;
	memcpy(text, coordinates.p, coordinates.n);
	text[coordinates.n] = '\0';
	p.lat = strtod(text, &end);
	if (end == text || *end != ',')
		return p;
	char *second = end + 1;
	p.lon = strtod(second, &end);
	p.is_known = end != second && *end == '\0' && fabs(p.lat) <= 90 && fabs(p.lon) <= 180;
	return p;
}

double place_distance(const struct place *a, const struct place *b)
{
	if (!a->is_known || !b->is_known)
		return INFINITY;
	double rad = M_PI / 180, dlat = (b->lat - a->lat) * rad, dlon = (b->lon - a->lon) * rad;
	double h = pow(sin(dlat / 2), 2) + cos(a->lat * rad) * cos(b->lat * rad) * pow(sin(dlon / 2), 2);
	return 2 * EARTH_RADIUS_KM * asin(sqrt(fmin(1, h)));
}
