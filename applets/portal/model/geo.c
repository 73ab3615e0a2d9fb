#include "applets/portal/model/geo.h"

#include "core/base/utf8.h"

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

void city_set(char out[static CITY_MAX], struct span name)
{
	size_t n = MIN(name.n, (size_t)CITY_MAX - 1);

	out[0] = '\0';
	if (name.n == 0 || !utf8_is_valid(name))
		return;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < 0x20 || name.p[i] == 0x7f)
			return;
	while (n < name.n && n > 0 && (name.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, name.p, n);
	out[n] = '\0';
}

const char *place_format(const struct place *p, char out[static PLACE_STRLEN])
{
	out[0] = '\0';
	if (p->is_known)
		snprintf(out, PLACE_STRLEN, "%.4f,%.4f", p->lat, p->lon);
	return out;
}

double place_distance(const struct place *a, const struct place *b)
{
	if (!a->is_known || !b->is_known)
		return INFINITY;
	double rad = M_PI / 180, dlat = (b->lat - a->lat) * rad, dlon = (b->lon - a->lon) * rad;
	double h = pow(sin(dlat / 2), 2) + cos(a->lat * rad) * cos(b->lat * rad) * pow(sin(dlon / 2), 2);
	return 2 * EARTH_RADIUS_KM * asin(sqrt(fmin(1, h)));
}
