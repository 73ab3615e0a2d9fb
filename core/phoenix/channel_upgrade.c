#include "core/phoenix/channel_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX 1024u /* of an error response, for its detail */

void channel_opened(struct channel *c, u64 now)
{
	struct wr w = wr_init(c->request, sizeof(c->request));
	char target[CHANNEL_TARGET_MAX + URL_MAX], text[CHANNEL_TOKEN_MAX + 8];
	struct wr t = wr_init(target, sizeof(target));
	int n;

	if (c->state != CHANNEL_CONNECTING)
		return;
	ws_key(c->rng, c->ws_key);
	channel_target_put(&t, &c->target, c->has_key ? c->public_key : NULL);
	/* order and case of the reference programs, spec 70 §2 */
	http_put_request(&w, "GET", wr_span(&t));
	n = snprintf(text, sizeof(text), c->target.host_is_ipv6 ? "[%s]" : "%s", c->target.host);
	http_put_field(&w, "Host", SPAN(text, (size_t)n));
	http_put_field(&w, "Connection", SPAN_STR("Upgrade"));
	http_put_field(&w, "Upgrade", SPAN_STR("websocket"));
	http_put_field(&w, "Sec-WebSocket-Version", SPAN_STR("13"));
	http_put_field(&w, "Sec-WebSocket-Key", SPAN(c->ws_key, strlen(c->ws_key)));
	n = snprintf(text, sizeof(text), "Bearer %s", c->token);
	http_put_field(&w, "x-authorization", SPAN(text, (size_t)n));
	http_put_field(&w, "user-agent", SPAN(c->user_agent, strlen(c->user_agent)));
	http_put_end(&w);
	sodium_memzero(text, sizeof(text));
	if (!wr_ok(&t) || !wr_ok(&w)) {
		channel_hiccup(c, now, ERR_LIMIT, "the upgrade request does not fit");
		return;
	}
	c->request_len = wr_len(&w);
	c->request_done = 0;
	http_parser_reset(c->parser);
	c->state = CHANNEL_UPGRADING;
}

/* What the portal says about its refusal, if it came along with the head: `detail` of RFC 9457. */
static void read_detail(struct channel *c, struct span rest, char *detail, size_t cap)
{
	static const struct json_limits lim = { BODY_MAX, 64, 8 };
	u8 body[BODY_MAX];
	struct wr w = wr_init(body, sizeof(body));
	struct cJSON *root;
	int rc = HTTP_BODY;

	while (rc == HTTP_BODY && wr_ok(&w)) {
		size_t used;
		struct span piece;
		rc = http_parser_input(c->parser, rest, &used, &piece);
		rest = SPAN(rest.p + used, rest.n - used);
		wr_bytes(&w, piece.p, piece.n);
	}
	if (!wr_ok(&w) || json_parse(wr_span(&w), &lim, &root))
		return;
	struct json_get g = JSON_GET;
	const char *text = json_str(&g, root, "detail");
	if (*text)
		snprintf(detail, cap, ": %s", text);
	for (char *p = detail; *p; p++)
		if ((u8)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	json_free(root);
}

static void refused(struct channel *c, u64 now, u64 wall, struct span rest)
{
	const struct http_head *h = http_parser_head(c->parser);
	struct span retry_after = http_field(h, "retry-after");
	char detail[96] = "", text[160];
	u64 secs;

	read_detail(c, rest, detail, sizeof(detail));
	snprintf(text, sizeof(text), "the portal answered %u %s%s", (unsigned)h->status, http_reason(h->status), detail);
	if (h->status == 401) {
		channel_give_up(c, CHANNEL_INVALID_TOKEN, ERR_AUTH, text);
	} else if (retry_after.p && http_retry_after(retry_after, wall / NSEC_PER_SEC, &secs) == 0) {
		u64 delay = secs > CHANNEL_RETRY_AFTER_MAX / NSEC_PER_SEC ? CHANNEL_RETRY_AFTER_MAX : SEC(secs);
		channel_wait(c, now, MAX(delay, (u64)CHANNEL_RETRY_AFTER_MIN), ERR_DENIED, text);
	} else {
		channel_hiccup(c, now, ERR_DENIED, text);
	}
}

/* True when what follows in the input belongs to the WebSocket. */
bool channel_input_upgrade(struct channel *c, u64 now, u64 wall, struct span in, size_t *used)
{
	struct span body;
	int rc = http_parser_input(c->parser, in, used, &body);

	if (rc == HTTP_MORE)
		return false;
	if (rc < 0) {
		channel_hiccup(c, now, rc, "the portal's answer is not HTTP");
		return false;
	}
	const struct http_head *h = http_parser_head(c->parser);
	if (h->status != 101) {
		refused(c, now, wall, SPAN(in.p + *used, in.n - *used));
		return false;
	}
	if (ws_check_response(h, c->ws_key)) {
		channel_hiccup(c, now, ERR_MALFORMED, "the portal's answer to the WebSocket upgrade is not acceptable");
		return false;
	}
	c->ws = ws_new(WS_CLIENT, NULL, c->rng);
	if (!c->ws) {
		channel_hiccup(c, now, ERR_NOMEM, "out of memory");
		return false;
	}
	sodium_memzero(c->request, c->request_len);
	c->request_len = c->request_done = 0;
	c->state = CHANNEL_JOINING;
	c->next_ref = 0;
	c->join_is_queued = true;
	c->beats.due = now + CHANNEL_HEARTBEAT;
	c->last_progress = now;
	return true;
}
