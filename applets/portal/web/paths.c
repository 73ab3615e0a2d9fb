#include "applets/portal/web/paths.h"

#include "applets/portal/model/directory.h"
#include "applets/portal/web/templates.h"

#include <stdio.h>
#include <string.h>

static int take(void *ctx, const struct hub_path *p)
{
	struct paths *out = ctx;

	out->n_all++;
	if (out->n < PATHS_SHOWN)
		out->rows[out->n++].path = *p;
	return 0;
}

void paths_of(struct web *w, enum kind of, const struct uuid *id, struct paths *out)
{
	const struct hub *h = w->x->portal->hub;
	const struct uuid *account = &w->account->e.id;

	memset(out, 0, sizeof(*out));
	(void)(of == KIND_CLIENT ? hub_paths_of_client : hub_paths_of_gateway)(h, account, id, take, out);
	out->has_reported = of == KIND_GATEWAY && hub_reports(h, account, id);
	for (u32 i = 0; i < out->n; i++) {
		struct path_row *r = &out->rows[i];

		r->path.gateway_name = web_text(w, "%s", r->path.gateway_name);
		if (of == KIND_GATEWAY) {
			const struct client *c = web_find(w, KIND_CLIENT, &r->path.client_id);

			r->client = c ? c->d.name : web_id(w, &r->path.client_id);
			r->client_href = c ? web_path(w, "/clients/%s", web_id(w, &r->path.client_id)) : NULL;
		}
	}
}

void paths_render(struct strbuf *o, struct hub *h, const struct uuid *account, const struct uuid *client)
{
	const struct account *a = directory_account(hub_directory(h), account);
	struct paths paths;
	char base[128];

	if (!a)
		return;
	memset(&paths, 0, sizeof(paths));
	(void)hub_paths_of_client(h, account, client, take, &paths);
	snprintf(base, sizeof(base), "/%s", a->slug);
	template_client_paths(o, base, &paths);
}
