/* applets/portal/model/version.h: which version speaks, and what it can (spec 10 §1.4, spec 60 §4.5, §4.8). */
#pragma once

#include "core/base/types.h"

#define VERSION_STRLEN 32

struct version {
	u32 major, minor, patch;
	bool is_known;      /* there is one */
	bool is_parsable;   /* and it reads as major.minor[.patch] */
	char text[VERSION_STRLEN];
};

/* Of "1.5.2", the text behind the component's name in a user agent; "" is not known. */
struct version version_read(const char *text);

static inline int version_cmp(const struct version *a, u32 major, u32 minor, u32 patch)
{
	return a->major != major ? (a->major < major ? -1 : 1) :
	       a->minor != minor ? (a->minor < minor ? -1 : 1) :
	       a->patch != patch ? (a->patch < patch ? -1 : 1) :
				   0;
}

/* The version of the peers that this portal was made for; what is older is told to be outdated (§12). */
#define VERSION_REFERENCE 1, 5, 2

/* What cannot be read is not outdated. */
static inline bool version_is_outdated(const struct version *v)
{
	return v->is_parsable && version_cmp(v, VERSION_REFERENCE) < 0;
}

/* Are the two able to talk (spec 10 §7.3 step 2)? */
bool version_is_compatible(const struct version *client, const struct version *gateway);

/* Can it change a resource's site in place, or must the resource be deleted and created (spec 60 §4.2)? */
bool version_can_change_sites(const struct version *v, const char *user_agent);

/* Does it know device pools, and may others reach it through one? By component, as told in the user agent (spec 10 §14). */
bool version_has_pools(const struct version *v, const char *user_agent);
bool version_has_device_access(const struct version *v, const char *user_agent);

/* Clients connect to each other only within one minor version (spec 10 §14). */
static inline bool version_is_same_minor(const struct version *a, const struct version *b)
{
	return a->is_parsable && b->is_parsable && a->major == b->major && a->minor == b->minor;
}

/* Does it know internet resources (§4.8)? */
static inline bool version_has_internet(const struct version *v)
{
	return !v->is_parsable || version_cmp(v, 1, 3, 0) >= 0;
}

/* "Debian" and "12.0.0" of "Debian/12.0.0 headless-client/1.5.8 (x86_64)": what gateways are told of a device (spec 10 §1.4). */
void user_agent_os(const char *user_agent, char *name, size_t name_size, char *version, size_t version_size);
