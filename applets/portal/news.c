#include "applets/portal/news.h"

#include "applets/portal/http/live.h"
#include "applets/portal/jobs.h"
#include "applets/portal/web/page.h"
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

const struct hub_news live_news = { changed, presence, session_ended };
