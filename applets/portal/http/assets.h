/* applets/portal/http/assets.h: stylesheet, script and icons, embedded in the binary, served as /assets/<name>-<hash>.<extension>.
 *
 * Every file of applets/portal/web/assets/ is in the table that contrib/build/assets.sh makes, plain and gzip-compressed where that is shorter.
 * The hash is of the content, so browsers may keep a file for ever.
 */
#pragma once

#include "core/base/types.h"

struct asset {
	const char *name; /* "app.css" */
	const char *url;  /* "/assets/app-0123456789.css" */
	const u8 *plain, *gzip; /* gzip NULL: it would be longer */
	u32 n_plain, n_gzip;
};

/* What the build made; the last has no name. */
extern const struct asset assets[];

/* For templates: the URL of a file; "" when there is none of that name. */
const char *asset_url(const char *name);

struct exchange;
/* GET /assets/:name */
void assets_serve(struct exchange *x);
