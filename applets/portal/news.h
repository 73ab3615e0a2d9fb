/* applets/portal/news.h: what happens in the portal, told to pages that are open (http/live.h).
 *
 *	topic       region          content
 *	"sites"     "sites"         none: what is shown of this kind is stale          (the kind's table: actors, policies, clients, ...)
 *	"clients"   "client-<id>"   "online" or "offline"                              (gateways: "gateway-<id>")
 *	"relays"    "relays"        none
 *	"paths-<id of a client>"    "paths"               all its connections as its gateways report them
 *	"paths-<id of a gateway>"   "path-<client id>"    one connection; "paths" without content: another client came
 *	"overview"  "overview"      none; "first-path": a connection that is new
 *
 * jobs.h hears of changes too: of what is counted against limits.
 */
#pragma once

#include "applets/portal/channels/hub.h"

/* ctx: struct portal. */
extern const struct hub_news live_news;
