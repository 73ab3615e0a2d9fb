/* The search box: a page, and the few best hits while somebody types; and the stream that keeps open pages fresh. */
#include "applets/portal/auth/session.h"
#include "applets/portal/http/live.h"
#include "applets/portal/web/pages.h"
#include "applets/portal/web/templates.h"
#include "applets/portal/web/views_find.h"

struct finding {
	struct web *w;
	struct find_view view;
};

/* The kinds that have a page of their own. */
static const struct {
	enum kind kind;
	const char *what, *icon, *path;
	bool has_id; /* the id follows the path */
} places[] = {
	{ KIND_SITE, "site", "site", "/sites/", true },
	{ KIND_RESOURCE, "resource", "resource", "/resources/", true },
	{ KIND_POLICY, "policy", "policy", "/policies/", true },
	{ KIND_CLIENT, "client", "client", "/clients/", true },
	{ KIND_GATEWAY, "gateway", "gateway", "/gateways/", true },
	{ KIND_ACTOR, "person", "person", "/actors/", true },
	{ KIND_GROUP, "group", "group", "/groups/", true },
	{ KIND_AUTH_PROVIDER, "sign-in", "key", "/settings/authentication", false },
	{ KIND_DIRECTORY, "directory", "sync", "/settings/directory_sync", false },
};

static int take(void *ctx, const struct store_hit *hit)
{
	struct finding *f = ctx;
	struct web *w = f->w;

	for (size_t i = 0; i < ARRAY_LEN(places) && f->view.n < FOUND_MAX; i++)
		if (places[i].kind == hit->kind)
			f->view.at[f->view.n++] = (struct found){
				.title = web_text(w, "%s", hit->title),
				.detail = hit->detail && *hit->detail ? web_text(w, "%s", hit->detail) : NULL,
				.what = places[i].what,
				.icon = places[i].icon,
				.href = web_path(w, "%s%s", places[i].path, places[i].has_id ? web_id(w, &hit->id) : ""),
			};
	return 0;
}

void page_search(struct exchange *x)
{
	struct web w;

	if (!web_begin(&w, x, SECTION_NONE))
		return;
	const char *text = exchange_query(x, "q"), *part = exchange_query(x, "fragment");
	struct finding f = { &w, { .text = text ? text : "" } };
	bool is_fragment = part && *part;

	w.page.title = *f.view.text ? web_text(&w, "“%s”", f.view.text) : "Search";
	w.page.search = f.view.text;
	if (*f.view.text && store_search(x->portal->store, &w.account->e.id, f.view.text, is_fragment ? FOUND_WHILE_TYPING : FOUND_MAX, take, &f)) {
		web_store_failed(&w);
	} else {
		if (is_fragment)
			template_find_fragment(&x->out, &w.page, &f.view);
		else
			template_find(&x->out, &w.page, &f.view);
		web_send(&w, 200);
	}
	web_end(&w);
}

void page_live(struct exchange *x)
{
	const struct account *account;
	struct principal who;

	if (!session_required(x, &account, &who))
		return;
	const char *topics = exchange_query(x, "topics");
	live_open(x, &account->e.id, &who.session_id, topics ? topics : "");
}
