/* core/phoenix/frame.h: the Phoenix V1 envelope, one JSON object per text frame (spec 10 §3.1), both directions.
 */
#pragma once

#include "core/json/json.h"

#define PHX_REF_STRLEN 64 /* longest ref that is echoed, with NUL */

/* Peers number their messages; other Phoenix clients use strings. What came is echoed as it came. */
struct phx_ref {
	enum { PHX_REF_NONE, PHX_REF_NUMBER, PHX_REF_STRING } kind;
	u64 number;
	char string[PHX_REF_STRLEN];
};

struct phx_frame {
	const char *topic;
	const char *event;
	const struct cJSON *payload; /* NULL only when absent, which is legal for no one but tolerated by no one either */
	struct phx_ref ref;
	struct cJSON *root; /* owns all of the above */
};

/* 0; ERR_TRUNCATED: JSON cut short; ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. On success phx_frame_free() afterwards. */
int phx_frame_parse(struct span text, const struct json_limits *lim, struct phx_frame *out, struct json_get *why) MUST_CHECK;
void phx_frame_free(struct phx_frame *f);

/* Peer → portal: topic, event, payload, ref. Writes everything up to the payload's value and what follows it. */
void phx_out_begin(struct json_out *o, const char *topic, const char *event);
void phx_out_end(struct json_out *o, u64 ref);
/* Portal → peer: event, payload, ref, topic. */
void phx_push_begin(struct json_out *o, const char *event);
void phx_push_end(struct json_out *o, const struct phx_ref *ref, const char *topic);
/* A whole reply; reason NULL = ok with an empty response. */
void phx_reply(struct json_out *o, const char *topic, const struct phx_ref *ref, const char *reason);
