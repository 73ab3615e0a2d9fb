/* applets/portal/http/live.h: pages that are open hear of what changes, by server-sent events (WHATWG HTML §9.2).
 *
 *   a page's stream:  live_open(x, account, session, "clients,gateways")          GET of a page's own route
 *   who knows more:   live_publish(portal, account, "clients", "client-<id>", html)
 *
 * An event is one `data` whose first line names the region of the page (its data-live) and whose other lines are what to put into it; without
 * any, the region only learns that it is stale. Streams end after LIVE_AGE_MAX, when their session is over and when the portal goes down;
 * browsers open them anew by themselves, which asks for the session again. A peer that does not read is dropped (exchange.h).
 */
#pragma once

#include "applets/portal/http/exchange.h"

#define LIVE_STREAMS_MAX 1024u
#define LIVE_HEARTBEAT SEC(25) /* below the patience of reverse proxies */
#define LIVE_AGE_MAX MINUTES(15)
#define LIVE_TOPICS_MAX 256u

struct live;

struct live *live_new(struct loop *loop);
/* All streams must be gone. */
void live_free(struct live *l);
u32 live_count(const struct live *l);

/* Answers with a stream of an account; `topics` is a comma list of what is published under. `session`: whose end ends it; NULL: nobody's.
 * 503 when there are too many. */
void live_open(struct exchange *x, const struct uuid *account, const struct uuid *session, const char *topics);

/* To all streams of the account (NULL: of all accounts) that listen to the topic. `html` NULL: stale. Nothing happens when nobody serves. */
void live_publish(struct portal *p, const struct uuid *account, const char *topic, const char *region, const char *html);

/* Whether somebody would hear it: to save rendering. */
bool live_listens(const struct portal *p, const struct uuid *account, const char *topic);

/* The session was deleted: its pages hear nothing more. */
void live_close_session(struct portal *p, const struct uuid *session);
