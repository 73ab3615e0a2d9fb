/* applets/common/ident.h: who this machine is to the portal (spec 10 §1.4, §1.5; spec 30 §19.2; spec 40 §1.3).
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/types.h"

#define IDENT_ID_MAX 256u
#define IDENT_WHY_BYTES 512u
#define IDENT_UA_MAX 256u

enum ident_role { IDENT_CLIENT, IDENT_GATEWAY };

/* Where things lie; NULL members take the defaults of the role. Tests point them elsewhere. */
struct ident_paths {
	const char *id_file;    /* /var/lib/dev.firezone.client/config/firezone-id.json, /var/lib/firezone/gateway_id */
	const char *machine_id; /* /etc/machine-id */
	const char *dmi_dir;    /* /sys/firmware/dmi/tables */
};

/* Order: `configured` (gateway: "" counts as unset; client: used as it is), the JSON file, HMAC of machine-id, else random and saved (0640, directory
 * 0770, never overwriting). 0, or ERR_IO with a sentence in `why`. */
int ident_firezone_id(enum ident_role role, const char *configured, const struct ident_paths *paths, struct rng *rng,
		      char out[static IDENT_ID_MAX], char why[static IDENT_WHY_BYTES]) MUST_CHECK;

/* What is sent: hex SHA-256 of a UUID-shaped id, any other id verbatim. */
void ident_external_id(const char *firezone_id, char out[static IDENT_ID_MAX]);

/* `configured` when not NULL, else the host name, else a random UUID. */
void ident_name(const char *configured, struct rng *rng, char out[static IDENT_ID_MAX]);

/* SMBIOS type 1; "" when unreadable, absent or the well-known dummy. */
struct ident_device {
	char serial[IDENT_ID_MAX];
	char uuid[37];
};
void ident_device(const struct ident_paths *paths, struct ident_device *out);
/* The pure part: `table` is the content of /sys/firmware/dmi/tables/DMI. */
void ident_parse_smbios(struct span table, struct ident_device *out);

/* "{os}/{version} {component} ({arch}; {kernel})", e.g. "Debian/12.0.0 gateway/1.5.2 (x86_64; 6.1.0-18-amd64)", ASCII. */
#define IDENT_COMPONENT_CLIENT "headless-client/1.5.8"
#define IDENT_COMPONENT_GATEWAY "gateway/1.5.2"
#define IDENT_COMPONENT_RELAY "relay/0.1.0"
struct sys_host;
void ident_user_agent(const struct sys_host *host, const char *component, char out[static IDENT_UA_MAX]);
