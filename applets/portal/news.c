#include "applets/portal/news.h"

#include "applets/portal/http/live.h"
#include "applets/portal/jobs.h"
#include "applets/portal/web/page.h"
#include "applets/portal/web/paths.h"
#include "applets/portal/web/templates.h"

#include <stdio.h>

static void changed(void *ctx, const struct uuid *account, enum kind k)
{
	const struct portal *p = ctx;

	jobs_noted(p->jobs, account, k);
	live_publish(ctx, account, kinds[k].table, kinds[k].table, NULL);
}

/* The dot and the word of one device; what counts devices learns that it is stale. */
static void presence(void *ctx, enum kind k, const struct hub_presence *p, bool is_online)
{
	struct strbuf html = { 0 };
	char region[64], id[UUID_STRLEN];

	if (k == KIND_RELAY_TOKEN) {
		live_publish(ctx, NULL, "relays", "relays", NULL);
		return;
	}
	snprintf(region, sizeof(region), "%s-%s", kinds[k].name, uuid_format(&p->id, id));
	template_status(&html, is_online ? TONE_GOOD : TONE_PLAIN, is_online ? "online" : k == KIND_CLIENT ? "away" : "offline");
	if (strbuf_ok(&html))
		live_publish(ctx, &p->account_id, kinds[k].table, region, strbuf_text(&html));
	if (k == KIND_GATEWAY && is_online) { /* the page that waits for whoever uses a token just made */
		snprintf(region, sizeof(region), "token-%s", uuid_format(&p->token_id, id));
		strbuf_reset(&html);
		template_status(&html, TONE_GOOD, "connected: the gateway is there");
		if (strbuf_ok(&html))
			live_publish(ctx, &p->account_id, region, region, strbuf_text(&html));
	}
	strbuf_free(&html);
	live_publish(ctx, &p->account_id, "overview", "overview", NULL);
}

static void session_ended(void *ctx, const struct uuid *session)
{
	live_close_session(ctx, session);
}

/* The page of the client has all its paths in one region, that of the gateway one for each client. */
static void path(void *ctx, const struct uuid *account, const struct uuid *gateway, const struct uuid *client, bool is_new)
{
	const struct portal *p = ctx;
	struct strbuf html = { 0 };
	struct hub_path known;
	char topic[64], region[64], id[UUID_STRLEN];

	snprintf(topic, sizeof(topic), "paths-%s", uuid_format(client, id));
	if (live_listens(ctx, account, topic)) {
		paths_render(&html, p->hub, account, client);
		if (strbuf_ok(&html))
			live_publish(ctx, account, topic, "paths", strbuf_text(&html));
	}
	snprintf(region, sizeof(region), "path-%s", id);
	snprintf(topic, sizeof(topic), "paths-%s", uuid_format(gateway, id));
	if (live_listens(ctx, account, topic)) {
		strbuf_reset(&html);
		if (hub_path(p->hub, account, gateway, client, &known))
			template_path(&html, &known);
		else
			template_status(&html, TONE_PLAIN, "gone");
		if (strbuf_ok(&html))
			live_publish(ctx, account, topic, region, strbuf_text(&html));
		if (is_new)
			live_publish(ctx, account, topic, "paths", NULL);
	}
	if (is_new && live_listens(ctx, account, "overview") && hub_path(p->hub, account, gateway, client, &known)) {
		strbuf_reset(&html);
		template_path(&html, &known);
		if (strbuf_ok(&html))
			live_publish(ctx, account, "overview", "first-path", strbuf_text(&html));
		live_publish(ctx, account, "overview", "overview", NULL);
	}
	strbuf_free(&html);
}

const struct hub_news live_news = { changed, presence, session_ended, path };
