/* applets/portal/zones.h: the host's time zone database (/usr/share/zoneinfo), read as policies ask for zones and kept.
 *
 * "UTC" works without any file. At most ZONES_MAX zones are kept; a further one is read each time.
 */
#pragma once

#include "applets/portal/model/access.h"

#define ZONES_MAX 64u

extern const struct zones system_zones;
