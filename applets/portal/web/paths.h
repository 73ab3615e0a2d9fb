/* applets/portal/web/paths.h: over which path clients are connected at present, as gateways report it (channels/hub.h): the same words on all pages.
 *
 * Gateways of Firezone never report: what is not known is left out, or said in words.
 */
#pragma once

#include "applets/portal/web/web.h"

#define PATHS_SHOWN 20u

struct path_row {
	struct hub_path path; /* gateway_name is not of the hub's memory any more */
	const char *client, *client_href; /* only where clients are listed; no link when it was deleted */
};

struct paths {
	struct path_row rows[PATHS_SHOWN];
	u32 n, n_all;
	bool has_reported; /* of a gateway: it speaks of its connections */
};

/* Of a client (KIND_CLIENT) or a gateway (KIND_GATEWAY). */
void paths_of(struct web *w, enum kind of, const struct uuid *id, struct paths *out);

/* Without a page, for its stream: client_paths() of templates/paths.html. */
void paths_render(struct strbuf *o, struct hub *h, const struct uuid *account, const struct uuid *client);
