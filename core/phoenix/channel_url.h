/* core/phoenix/channel_url.h: the target of a peer's upgrade request; private to channel*.c (spec 10 §1.1–§1.3).
 */
#pragma once

#include "core/http/url.h"
#include "core/phoenix/channel.h"

#define CHANNEL_TARGET_MAX 4096u

struct channel_target {
	char host[HOST_MAX + 1];
	bool host_is_ipv6; /* needs brackets in the Host field */
	u16 port;
	bool is_tls;
	char path[URL_MAX + 32];
	char query[CHANNEL_TARGET_MAX]; /* without public_key */
};

/* ERR_INVAL and *why. */
int channel_target_init(struct channel_target *t, const struct channel_config *cfg, const char **why) MUST_CHECK;
/* `path?query`, with the key unless NULL. */
void channel_target_put(struct wr *w, const struct channel_target *t, const u8 *public_key);
const char *msg_role_name(enum msg_role role);
