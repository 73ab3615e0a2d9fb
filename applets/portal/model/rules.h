/* applets/portal/model/rules.h: what a value must look like before it is stored (spec 60 §1).
 *
 * Each check_x() normalises its entity in place (trimmed, canonical address and lists) and answers 0, or ERR_INVAL with the field and
 * the reason in *c, or ERR_NOMEM. Uniqueness and references are the store's business.
 *
 * Filters are kept as text, `tcp:22,8000-9000 udp:53 icmp`: a protocol without ports is the whole protocol, nothing at all is
 * everything. Conditions are kept one per line, `property operator value value…`, and are ANDed:
 *
 *	remote_ip_location_region is_in DE AT
 *	remote_ip is_not_in_cidr 192.0.2.0/24
 *	auth_provider_id is_in 0b8c1d2e-0000-4000-8000-000000000001
 *	current_utc_datetime is_in_day_of_week_time_ranges M/9:00-17:00/Europe/Berlin
 *	client_verified is true
 */
#pragma once

#include "applets/portal/model/entity.h"

struct complaint {
	char field[32];
	char reason[200];
};

int complain(struct complaint *c, const char *field, const char *fmt, ...) PRINTF_LIKE(3, 4);

int check_account(struct account *a, struct complaint *c);
int check_actor(struct actor *a, struct complaint *c);
int check_group(struct group *g, struct complaint *c);
int check_site(struct site *s, struct complaint *c);
int check_resource(struct resource *r, struct complaint *c);
int check_policy(struct policy *p, struct complaint *c);
int check_device(enum kind k, struct device *d, struct complaint *c);
int check_token(struct token *t, struct complaint *c);

/* Sets the issuer where the type says what it is. */
int check_auth_provider(struct auth_provider *p, struct complaint *c);
int check_identity(struct identity *i, struct complaint *c);
int check_credential(struct credential *x, struct complaint *c);
int check_directory(struct sync_directory *d, struct complaint *c);

/* ---- filters ---- */

#define FILTERS_MAX 64 /* of one resource, each port or range counted */

enum protocol { PROTO_TCP, PROTO_UDP, PROTO_ICMP };
extern const char *const protocol_names[];

struct filter {
	enum protocol protocol;
	bool has_ports;
	u16 first, last;
};

/* Number of filters, or ERR_INVAL. */
int filters_parse(const char *text, struct filter out[static FILTERS_MAX], struct complaint *c);

/* ---- conditions ---- */

enum property { PROP_REGION, PROP_REMOTE_IP, PROP_PROVIDER, PROP_TIME, PROP_VERIFIED, PROP_COUNT };
extern const char *const property_names[];

struct condition {
	enum property property;
	bool is_negated;    /* is_not_in… */
	struct span values; /* separated by spaces */
};

/* The next condition of a canonical text; false at its end. Start with *at = text (may be NULL). */
bool condition_next(const char **at, struct condition *out);

/* The next word of a list separated by spaces; false at its end. */
bool word_next(struct span *list, struct span *word);

/* One range of a weekly condition, local seconds of the day, both ends included. */
struct day_range {
	int first, last;
};
#define DAY_RANGES_MAX 24

/* "M/9-12,13:30-17/Europe/Berlin": weekday 0 = Sunday; ranges sorted, those that touch or overlap merged. Number of ranges or ERR_INVAL. */
int day_ranges_parse(struct span value, int *weekday, struct day_range out[static DAY_RANGES_MAX], struct span *zone);
