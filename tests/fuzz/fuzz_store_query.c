/* What people put into search boxes, filters and page addresses: it is refused or found, but never said to the database. */
#include "applets/portal/model/fold.h"
#include "applets/portal/store/store.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1800000000000000000ull

static const struct uuid account_id = { { 1 } };

static struct entity entity_of(u8 n)
{
	return (struct entity){ .account_id = account_id, .id = { { n } } };
}

static struct store *a_store(void)
{
	static struct store *s;
	char why[256];

	if (s)
		return s;
	struct account acme = { .e = entity_of(1), .name = "Acme", .slug = "acme", .key = "aaaaaa" };
	struct site site = { .e = entity_of(2), .name = "Zürich" };
	struct group group = { .e = entity_of(3), .name = "team \"a\"" };
	struct resource lab = { .e = entity_of(4), .site_id = site.e.id, .type = RESOURCE_CIDR, .name = "lab", .address = "10.0.0.0/8" };
	struct policy policy = { .e = entity_of(5), .group_id = group.e.id, .resource_id = lab.e.id };
	int rc = store_open(&s, ":memory:", why, sizeof(why));

	rc = rc ? rc : store_insert(s, KIND_ACCOUNT, &acme, WALL);
	rc = rc ? rc : store_insert(s, KIND_SITE, &site, WALL);
	rc = rc ? rc : store_insert(s, KIND_GROUP, &group, WALL);
	rc = rc ? rc : store_insert(s, KIND_RESOURCE, &lab, WALL);
	rc = rc ? rc : store_insert(s, KIND_POLICY, &policy, WALL);
	for (u8 i = 0; i < 5 && !rc; i++) {
		char name[16], email[32];
		struct actor a = { .e = entity_of((u8)(10 + i)), .name = name, .email = email };

		snprintf(name, sizeof(name), "Jo %u", i);
		snprintf(email, sizeof(email), "jo%u@example.com", i);
		rc = store_insert(s, KIND_ACTOR, &a, WALL + i);
	}
	if (rc)
		abort();
	return s;
}

static int look(void *ctx, enum kind k, const void *row)
{
	(void)row;
	return k == *(enum kind *)ctx ? 0 : ERR_INTERNAL;
}

static int look_at_hit(void *ctx, const struct store_hit *hit)
{
	(void)ctx;
	return hit->title ? 0 : ERR_INTERNAL;
}

static void must_be(struct store *s, int rc)
{
	if (rc != 0 && rc != ERR_INVAL && rc != ERR_LIMIT) {
		fprintf(stderr, "%s\n", store_reason(s));
		abort();
	}
}

static void check_fold(const char *text)
{
	struct strbuf once = { 0 }, twice = { 0 };

	fold(SPAN(text, strlen(text)), &once);
	fold(strbuf_span(&once), &twice);
	if (strcmp(strbuf_text(&once), strbuf_text(&twice)) != 0)
		abort();
	strbuf_free(&once);
	strbuf_free(&twice);
}

/* kind and how, then lines: text, cursor, sort, and of each filter field and value */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct store *s = a_store();
	struct store_query q = { .account = account_id, .wants_count = true, .limit = 2 };
	struct store_page page;
	char *text, *line[12] = { 0 };
	u32 lines = 0;

	if (n < 2)
		return 0;
	text = strndup((const char *)data + 2, n - 2);
	if (!text)
		return 0;
	for (char *rest = text; lines < ARRAY_LEN(line) && rest;)
		line[lines++] = strsep(&rest, "\n");
	q.kind = (enum kind)(data[0] % KIND_COUNT);
	q.is_descending = data[1] & 1;
	q.text = line[0];
	q.cursor = line[1] && line[1][0] ? line[1] : NULL;
	q.sort = line[2];
	for (u32 i = 3; i + 1 < lines && q.n_filters < STORE_FILTERS_MAX; i += 2)
		q.filters[q.n_filters++] = (struct store_filter){ line[i], (enum filter_op)(data[1] >> 1) % (FILTER_NOT_NULL + 1), line[i + 1] };
	int rc = store_page(s, &q, look, &q.kind, &page);
	must_be(s, rc);
	if (rc == 0 && page.has_next) {
		q.cursor = page.next;
		must_be(s, store_page(s, &q, look, &q.kind, &page) ? ERR_INTERNAL : 0);
	}
	must_be(s, store_select(s, q.kind, &account_id, q.filters, q.n_filters, 3, look, &q.kind));
	must_be(s, store_search(s, &account_id, q.text, 5, look_at_hit, NULL));
	check_fold(line[0]);
	free(text);
	return 0;
}
