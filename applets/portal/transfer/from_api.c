#include "applets/portal/transfer/transfer.h"

#include "applets/portal/outbound/fetch.h"
#include "core/base/cursor.h"
#include "core/base/strbuf.h"
#include "core/http/url.h"
#include "platform/sys.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGES_MAX 10000u
#define PAGE_BYTES_MAX (8u * 1024u * 1024u)
#define TRIES 8u /* when it says 429: it limits accounts to some requests a second */

struct asking {
	struct loop *loop;
	struct fetcher *fetcher;
	char base[300], bearer[600];
	char *why;
	struct cJSON *page;
	u16 status;
	int error;
};

static void done(void *ctx, const struct fetch_answer *a)
{
	struct asking *q = ctx;

	q->error = a->error;
	q->status = a->status;
	if (a->error)
		snprintf(q->why, TRANSFER_WHY_MAX, "%s", a->why);
	else if (a->status == 200 && json_parse(a->body, NULL, &q->page))
		snprintf(q->why, TRANSFER_WHY_MAX, "the answer of %.300s is no JSON", q->base);
	loop_stop(q->loop);
}

/* One page, parsed, in q->page. */
static int get(struct asking *q, const char *path)
{
	char url[URL_MAX];

	snprintf(url, sizeof(url), "%s%.1700s", q->base, path);
	for (u32 i = 0; i < TRIES; i++) {
		const struct fetch_request rq = { .url = url, .header = { { "Authorization", q->bearer } }, .body_max = PAGE_BYTES_MAX,
						  .timeout = SEC(30), .done = done, .ctx = q };
		int rc = fetch_start(q->fetcher, &rq, NULL);

		q->page = NULL;
		if (rc) {
			snprintf(q->why, TRANSFER_WHY_MAX, "'%.300s' is no address of an API", url);
			return rc;
		}
		loop_run(q->loop);
		if (q->error || q->page)
			return q->error;
		if (q->status != 429 && q->status != 503)
			break;
		struct timespec pause = { 1 + (time_t)i, 0 };
		nanosleep(&pause, NULL);
	}
	if (!q->why[0])
		snprintf(q->why, TRANSFER_WHY_MAX, q->status == 401 ? "%.300s refuses the token (status %u)" : "%.300s answered with status %u", url, q->status);
	return ERR_DENIED;
}

/* Every element of a list; `group` (may be NULL): they are its members. */
static int get_all(struct asking *q, const char *path, const char *group, struct json_out *out)
{
	char next[URL_MAX];
	int rc = 0;

	snprintf(next, sizeof(next), "%s?limit=100", path);
	for (u32 page = 0; !rc && next[0] && page < PAGES_MAX; page++) {
		struct json_get g = JSON_GET;

		rc = get(q, next);
		if (rc)
			break;
		next[0] = '\0';
		json_each(one, json_array(&g, q->page, "data")) {
			if (!group) {
				json_put_tree(out, NULL, one);
				continue;
			}
			json_open(out, NULL);
			json_put_str(out, "group_id", group);
			json_put_str(out, "actor_id", json_str(&g, one, "id"));
			json_close(out);
		}
		const struct cJSON *meta = json_object_opt(&g, q->page, "metadata");
		const char *cursor = meta ? json_str_null(&g, meta, "next_page") : NULL;
		if (cursor && *cursor) {
			u8 text[URL_MAX];
			struct wr w = wr_init(text, sizeof(text) - 1);

			form_encode(&w, SPAN(cursor, strlen(cursor)));
			if (wr_ok(&w)) {
				text[wr_len(&w)] = '\0';
				snprintf(next, sizeof(next), "%.100s?limit=100&page_cursor=%.1590s", path, (const char *)text);
			}
		}
		if (g.err) {
			snprintf(q->why, TRANSFER_WHY_MAX, "the answer of %.150s%.100s is not as expected: %s", q->base, path, g.why);
			rc = g.err;
		}
		json_free(q->page);
	}
	return rc;
}

static int get_members(struct asking *q, const struct cJSON *groups, struct json_out *out)
{
	int rc = 0;

	json_open_array(out, "memberships");
	json_each(group, groups) {
		struct json_get g = JSON_GET;
		const char *id = json_str(&g, group, "id"), *name = json_str_null(&g, group, "name");
		char path[200];

		if (g.err || (name && strcmp(name, "Everyone") == 0))
			continue;
		snprintf(path, sizeof(path), "/groups/%.100s/memberships", id);
		rc = get_all(q, path, id, out);
		if (rc)
			break;
	}
	json_close_array(out);
	return rc;
}

static int read_everything(struct asking *q, struct json_out *out)
{
	static const char *const lists[] = { "actors", "sites", "resources", "policies" };
	struct json_out groups = JSON_OUT;
	struct cJSON *tree = NULL;
	int rc = 0;

	json_open(out, NULL);
	for (size_t i = 0; i < ARRAY_LEN(lists) && !rc; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%s", lists[i]);
		json_open_array(out, lists[i]);
		rc = get_all(q, path, NULL, out);
		json_close_array(out);
	}
	json_open_array(&groups, NULL);
	rc = rc ? rc : get_all(q, "/groups", NULL, &groups);
	json_close_array(&groups);
	rc = rc || json_ok(&groups) ? rc : groups.err;
	if (!rc) {
		json_put_raw(out, "groups", json_text(&groups));
		rc = json_parse(json_text(&groups), NULL, &tree);
	}
	rc = rc ? rc : get_members(q, tree, out);
	json_close(out);
	json_free(tree);
	json_out_free(&groups);
	return rc ? rc : json_ok(out) ? 0 : out->err;
}

int firezone_api_read(const char *url, const char *token, struct json_out *out, char why[static TRANSFER_WHY_MAX])
{
	struct asking q = { .why = why };
	size_t n = strlen(url);
	int rc;

	why[0] = '\0';
	if (n + 1 > sizeof(q.base) || strlen(token) + 8 > sizeof(q.bearer)) {
		snprintf(why, TRANSFER_WHY_MAX, "the address or the token is too long");
		return ERR_INVAL;
	}
	snprintf(q.base, sizeof(q.base), "%.*s", (int)(n > 0 && url[n - 1] == '/' ? n - 1 : n), url);
	snprintf(q.bearer, sizeof(q.bearer), "Bearer %s", token);
	q.loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	/* whoever types this reaches its own network anyway */
	q.fetcher = q.loop ? fetcher_new(&(struct fetcher_config){ .loop = q.loop, .rng = sys_rng(), .allow_internal = true }) : NULL;
	if (q.fetcher) {
		rc = read_everything(&q, out);
	} else {
		snprintf(why, TRANSFER_WHY_MAX, "out of memory");
		rc = ERR_NOMEM;
	}
	fetcher_free(q.fetcher);
	loop_free(q.loop);
	sodium_memzero(q.bearer, sizeof(q.bearer));
	return rc;
}
