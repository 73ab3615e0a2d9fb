#include "applets/portal/news.h"

#include "applets/portal/http/live.h"

#include <stdio.h>

static void changed(void *ctx, const struct uuid *account, enum kind k)
{
	live_publish(ctx, account, kinds[k].table, kinds[k].table, NULL);
}

static void presence(void *ctx, const struct uuid *account, enum kind k, const struct uuid *id, bool is_online)
{
	char region[64], text[UUID_STRLEN];

	if (k == KIND_RELAY_TOKEN) {
		live_publish(ctx, NULL, "relays", "relays", NULL);
		return;
	}
	snprintf(region, sizeof(region), "%s-%s", kinds[k].name, uuid_format(id, text));
	live_publish(ctx, account, kinds[k].table, region, is_online ? "online" : "offline");
}

static void session_ended(void *ctx, const struct uuid *session)
{
	live_close_session(ctx, session);
}

const struct hub_news live_news = { changed, presence, session_ended };
