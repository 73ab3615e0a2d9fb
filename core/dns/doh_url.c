#include "core/dns/doh.h"

#define HTTPS_PORT 443u

int doh_url_parse(struct span text, struct doh_url *out)
{
	struct url u;
	struct span path;
	int rc = url_parse(text, &u);

	if (rc)
		return rc;
	if (!url_scheme_is(&u, "https") || memchr(text.p, '?', text.n) || memchr(text.p, '#', text.n))
		return ERR_INVAL;
	if (u.path.n > DOH_PATH_MAX)
		return ERR_LIMIT;
	*out = (struct doh_url){ .literal = u.literal, .port = u.port ? u.port : HTTPS_PORT };
	memcpy(out->host, u.host.p, u.host.n);
	path = u.path.n ? u.path : SPAN_STR("/");
	memcpy(out->path, path.p, path.n);
	return 0;
}
