/* Full-text search: folding, the search box, filters by text, hostile input; pages by cursor under changes. */
#include "applets/portal/model/fold.h"
#include "tests/unit/store_world.h"

static const char *folded(const char *text, char out[static 256])
{
	struct strbuf b = { 0 };

	fold(SPAN(text, strlen(text)), &b);
	snprintf(out, 256, "%s", strbuf_text(&b));
	strbuf_free(&b);
	return out;
}

TEST(folding_takes_case_and_accents_from_latin_greek_and_cyrillic)
{
	static const struct {
		const char *text, *folded;
	} cases[] = {
		{ "Berlin Office", "berlin office" }, { "ŁÓDŹ", "lodz" },		{ "Straße", "strasse" },
		{ "ÆRØ", "aero" },		      { "Ａｂｃ１", "abc1" },		{ "e\u0301te\u0301", "ete" },
		{ "Ὀδυσσεύς", "οδυσσευσ" },	      { "Ёлка", "елка" },		{ "Київ", "киів" },
		{ "Đặng Thị", "dang thi" },	      { "İstanbul ıssız", "istanbul issiz" }, { "a\tb\nc", "a b c" },
		{ "日本語", "日本語" },		      { "Œuvre ĳ ǅ", "oeuvre ij dz" },	{ "\xff\xc3", "??" },
		{ "", "" },
	};
	char out[256], again[256];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EXPECT_STR(folded(cases[i].text, out), cases[i].folded);
		EXPECT_STR(folded(out, again), out);
	}
}

struct hits {
	u32 n;
	enum kind kind[32];
	char title[32][128];
};

static int take_hit(void *ctx, const struct store_hit *hit)
{
	struct hits *h = ctx;

	h->kind[h->n] = hit->kind;
	snprintf(h->title[h->n], sizeof(h->title[0]), "%s", hit->title);
	h->n++;
	return 0;
}

static struct hits search(struct world *w, const char *text)
{
	struct hits h = { .n = 0 };

	EXPECT_EQ(store_search(w->s, &w->account, text, 20, take_hit, &h), 0);
	return h;
}

static int add_actor(struct world *w, u32 n, const char *name, const char *email)
{
	struct actor a = { .e = { .account_id = w->account, .id = { .b = { 0xa0, (u8)(n >> 16), (u8)(n >> 8), (u8)n } } } };

	a.name = (char *)(uintptr_t)name;
	a.email = (char *)(uintptr_t)email;
	return add(w, KIND_ACTOR, &a);
}

TEST(the_search_box_finds_things_by_part_of_a_name_whatever_its_accents)
{
	struct world w = open_world();
	struct hits h;

	fill(&w);
	EXPECT_EQ(add_actor(&w, 1, "Łukasz Żółć", "lz@example.com"), 0);
	h = search(&w, "zol");
	REQUIRE(h.n == 1);
	EXPECT_EQ(h.kind[0], KIND_ACTOR);
	EXPECT_STR(h.title[0], "Łukasz Żółć");
	EXPECT_EQ(search(&w, "ŻÓŁĆ łuk").n, 1); /* both words, any order */
	EXPECT_EQ(search(&w, "zolc berlin").n, 0);
	h = search(&w, "EXAMPLE.COM"); /* two actors, and the client of one; its token has no page */
	EXPECT_EQ(h.n, 3);
	h = search(&w, "lab"); /* the resource, and the policy that gives it */
	REQUIRE(h.n == 2);
	EXPECT_STR(h.title[0], "lab");
	EXPECT_EQ(h.kind[1], KIND_POLICY);
	EXPECT_STR(h.title[1], "team → lab");
	h = search(&w, "jo"); /* too short for the index */
	REQUIRE(h.n == 2);
	EXPECT_STR(h.title[0], "Jo");
	EXPECT_EQ(search(&w, "10.9").n, 1);
	EXPECT_EQ(search(&w, "").n, 0);
	EXPECT_EQ(search(&w, "   ").n, 0);
	h.n = 0;
	EXPECT_EQ(store_search(w.s, &w.other, "berlin", 20, take_hit, &h), 0);
	EXPECT_EQ(h.n, 0);
	close_world(&w);
}

TEST(what_is_renamed_or_deleted_is_no_longer_found_by_its_old_name)
{
	struct world w = open_world();
	union any_entity e;

	fill(&w);
	EXPECT_EQ(search(&w, "berlin").n, 2); /* the site, and its gateway */
	REQUIRE(store_get(w.s, KIND_SITE, &w.account, &w.site, &e) == 0);
	EXPECT_EQ(text_set(&e.site.name, "Hamburg"), 0);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_SITE, &e, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	entity_deinit(KIND_SITE, &e);
	EXPECT_EQ(search(&w, "berlin").n, 0);
	EXPECT_EQ(search(&w, "hamburg").n, 2);
	EXPECT_EQ(del(&w, KIND_SITE, &w.account, &w.site), 0);
	EXPECT_EQ(search(&w, "hamburg").n, 0);
	EXPECT_EQ(search(&w, "lab").n, 0); /* went with its site */
	close_world(&w);
}

static int count_rows_of(void *ctx, enum kind k, const void *row)
{
	(void)k, (void)row;
	++*(u32 *)ctx;
	return 0;
}

static u32 page_count(struct world *w, enum kind k, const char *text)
{
	struct store_query q = { .kind = k, .account = w->account, .text = text, .limit = 100, .wants_count = true };
	struct store_page p;
	u32 n = 0;

	EXPECT_EQ(store_page(w->s, &q, count_rows_of, &n, &p), 0);
	EXPECT_EQ(p.n, n);
	EXPECT_EQ(p.count, n);
	return n;
}

TEST(hostile_search_texts_are_only_texts)
{
	static const char *const texts[] = { "\"", "\"\"\"", "a\"b\"c", "NEAR(berlin)", "berlin*", "berlin AND", "OR OR OR", "{body}: x", "^berlin",
					     "-berlin", "body:berlin", "%%%", "___", "'; DROP TABLE sites; --", "\\", "berlin\"", "((((", "\xff\xfe\xfd",
					     "NOT berlin", "+berlin", "a b c d e f g h i j k l m n o p" };
	static char lengthy[5000];
	struct world w = open_world();

	fill(&w);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		EXPECT_EQ(search(&w, texts[i]).n, 0);
		EXPECT_EQ(page_count(&w, KIND_SITE, texts[i]), 0);
		EXPECT_EQ(page_count(&w, KIND_POLICY, texts[i]), 0);
	}
	memset(lengthy, 'b', sizeof(lengthy) - 1);
	EXPECT_EQ(page_count(&w, KIND_SITE, lengthy), 0);
	EXPECT_EQ(search(&w, "berlin").n, 2);
	EXPECT_EQ(add_actor(&w, 7, "50% \"off\" NEAR _x_ it's", "o@example.com"), 0);
	EXPECT_EQ(search(&w, "50%").n, 1);
	EXPECT_EQ(search(&w, "\"off\"").n, 1);
	EXPECT_EQ(search(&w, "_x_").n, 1);
	EXPECT_EQ(search(&w, "near").n, 1);
	EXPECT_EQ(search(&w, "it's").n, 1);
	close_world(&w);
}

TEST(lists_are_filtered_by_the_text_of_what_a_row_refers_to)
{
	struct world w = open_world();

	fill(&w);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "team"), 1);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "team LAB"), 1);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "nobody"), 0);
	EXPECT_EQ(page_count(&w, KIND_CLIENT, "jo@exam"), 1);
	EXPECT_EQ(page_count(&w, KIND_CLIENT, "jo dev"), 1);
	EXPECT_EQ(page_count(&w, KIND_GATEWAY, "berl"), 1);
	EXPECT_EQ(page_count(&w, KIND_CLIENT_TOKEN, "jo"), 1);
	EXPECT_EQ(page_count(&w, KIND_MEMBERSHIP, "jo"), 1);
	/* and follow when that is called otherwise, or goes */
	union any_entity e;
	REQUIRE(store_get(w.s, KIND_GROUP, &w.account, &w.group, &e) == 0);
	EXPECT_EQ(text_set(&e.group.name, "crew"), 0);
	REQUIRE(store_begin(w.s, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(w.s, KIND_GROUP, &e, WALL), 0);
	EXPECT_EQ(store_commit(w.s), 0);
	entity_deinit(KIND_GROUP, &e);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "team"), 0);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "crew lab"), 1);
	EXPECT_STR(search(&w, "crew lab").title[0], "crew → lab");
	EXPECT_EQ(del(&w, KIND_GROUP, &w.account, &w.group), 0);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "crew"), 0);
	EXPECT_EQ(page_count(&w, KIND_POLICY, "lab"), 1);
	close_world(&w);
}

/* ---- pages ---- */

struct seen {
	u32 n;
	char name[100][32];
};

static int see(void *ctx, enum kind k, const void *row)
{
	struct seen *s = ctx;

	EXPECT_EQ(k, KIND_ACTOR);
	snprintf(s->name[s->n++], 32, "%s", ((const struct actor *)row)->name);
	return 0;
}

static struct store_page turn(struct world *w, struct store_query *q, struct seen *seen)
{
	struct store_page p;

	seen->n = 0;
	EXPECT_EQ(store_page(w->s, q, see, seen, &p), 0);
	EXPECT_EQ(p.n, seen->n);
	return p;
}

static void add_letters(struct world *w, const char *letters)
{
	static u32 n = 100;
	char email[64];

	for (; *letters; letters++) {
		char name[2] = { *letters, 0 };
		snprintf(email, sizeof(email), "%u@example.com", n);
		EXPECT_EQ(add_actor(w, n++, name, email), 0);
	}
}

TEST(pages_go_forward_and_back_and_stay_in_place_while_rows_come_and_go)
{
	struct world w = open_world();
	struct store_page p, first;
	struct seen seen;

	w.account = id_of(1);
	EXPECT_EQ(add_account(&w, 1, "acme", "aaaaaa"), 0);
	add_letters(&w, "acegikmo");
	struct store_query q = { .kind = KIND_ACTOR, .account = w.account, .sort = "name", .limit = 3, .wants_count = true };
	first = turn(&w, &q, &seen);
	EXPECT_EQ(first.count, 8);
	EXPECT(first.has_next && !first.has_prev);
	EXPECT_STR(seen.name[0], "a");
	EXPECT_STR(seen.name[2], "e");
	q.cursor = first.next;
	p = turn(&w, &q, &seen);
	EXPECT_STR(seen.name[0], "g");
	EXPECT(p.has_next && p.has_prev);
	/* rows before and after the place come: the next page begins where this one ended */
	add_letters(&w, "bdl");
	struct store_page second = p;
	q.cursor = second.next;
	p = turn(&w, &q, &seen);
	EXPECT_EQ(seen.n, 3);
	EXPECT_STR(seen.name[0], "l");
	EXPECT_STR(seen.name[2], "o");
	EXPECT(!p.has_next && p.has_prev);
	q.cursor = p.prev;
	p = turn(&w, &q, &seen);
	EXPECT_STR(seen.name[0], "g");
	EXPECT_STR(seen.name[2], "k");
	EXPECT(p.has_next && p.has_prev);
	q.cursor = p.prev;
	p = turn(&w, &q, &seen);
	EXPECT_STR(seen.name[0], "c");
	EXPECT_STR(seen.name[2], "e");
	EXPECT(p.has_prev);
	q.cursor = p.prev;
	p = turn(&w, &q, &seen);
	EXPECT_EQ(seen.n, 2);
	EXPECT_STR(seen.name[0], "a");
	EXPECT(!p.has_prev && p.has_next);
	/* the other way round */
	q.is_descending = true;
	q.cursor = NULL;
	p = turn(&w, &q, &seen);
	EXPECT_STR(seen.name[0], "o");
	EXPECT_STR(seen.name[2], "l");
	close_world(&w);
}

TEST(equal_names_are_paged_by_their_ids_and_case_does_not_count)
{
	struct world w = open_world();
	struct store_page p;
	struct seen seen;
	u32 total = 0;

	w.account = id_of(1);
	EXPECT_EQ(add_account(&w, 1, "acme", "aaaaaa"), 0);
	add_letters(&w, "xXxXxXxaBc");
	struct store_query q = { .kind = KIND_ACTOR, .account = w.account, .sort = "name", .limit = 2 };
	p = turn(&w, &q, &seen);
	EXPECT_STR(seen.name[0], "a");
	EXPECT_STR(seen.name[1], "B");
	for (u32 pages = 0; pages < 10; pages++) {
		total += seen.n;
		if (!p.has_next)
			break;
		q.cursor = p.next;
		seen.n = 0;
		EXPECT_EQ(store_page(w.s, &q, see, &seen, &p), 0); /* the cursor lies in what is filled */
	}
	EXPECT_EQ(total, 10);
	close_world(&w);
}

TEST(cursors_of_other_lists_and_damaged_ones_are_refused)
{
	struct world w = open_world();
	struct store_page p, out;
	struct seen seen;
	char bad[STORE_CURSOR_MAX];

	w.account = id_of(1);
	EXPECT_EQ(add_account(&w, 1, "acme", "aaaaaa"), 0);
	add_letters(&w, "abcd");
	struct store_query q = { .kind = KIND_ACTOR, .account = w.account, .sort = "name", .limit = 2 };
	p = turn(&w, &q, &seen);
	q.cursor = p.next;
	q.sort = "email";
	EXPECT_EQ(store_page(w.s, &q, see, &seen, &out), ERR_INVAL);
	q.sort = "name";
	q.is_descending = true;
	EXPECT_EQ(store_page(w.s, &q, see, &seen, &out), ERR_INVAL);
	q.is_descending = false;
	q.kind = KIND_GROUP;
	EXPECT_EQ(store_page(w.s, &q, see, &seen, &out), ERR_INVAL);
	q.kind = KIND_ACTOR;
	static const char *const damaged[] = { "", "x", "!!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "' OR 1=1" };
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		q.cursor = damaged[i];
		EXPECT_EQ(store_page(w.s, &q, see, &seen, &out), ERR_INVAL);
	}
	memset(bad, 'A', sizeof(bad) - 1);
	bad[sizeof(bad) - 1] = 0;
	q.cursor = bad;
	EXPECT_EQ(store_page(w.s, &q, see, &seen, &out), ERR_INVAL);
	close_world(&w);
}

TEST(filters_are_checked_against_the_field_table)
{
	static const struct {
		enum kind kind;
		struct store_filter f;
		int rc;
		u32 n;
	} cases[] = {
		{ KIND_ACTOR, { "type", FILTER_IS, "account_user" }, 0, 1 },
		{ KIND_ACTOR, { "type", FILTER_IS, "king" }, ERR_INVAL, 0 },
		{ KIND_ACTOR, { "type", FILTER_IS_NOT, "account_user" }, 0, 0 },
		{ KIND_ACTOR, { "status", FILTER_IS, "active" }, 0, 1 },
		{ KIND_ACTOR, { "status", FILTER_IS, "disabled" }, 0, 0 },
		{ KIND_ACTOR, { "status", FILTER_IS, "verified" }, ERR_INVAL, 0 },
		{ KIND_ACTOR, { "group_id", FILTER_IS, "05010000-0000-0000-0000-000000000000" }, 0, 1 },
		{ KIND_ACTOR, { "group_id", FILTER_IS, "x" }, ERR_INVAL, 0 },
		{ KIND_ACTOR, { "email", FILTER_IS, "JO@example.com" }, 0, 1 },
		{ KIND_ACTOR, { "allow_email_otp_sign_in", FILTER_IS, "false" }, 0, 1 },
		{ KIND_ACTOR, { "allow_email_otp_sign_in", FILTER_IS, "maybe" }, ERR_INVAL, 0 },
		{ KIND_ACTOR, { "1=1 OR name", FILTER_IS, "x" }, ERR_INVAL, 0 },
		{ KIND_ACTOR, { "email", FILTER_IS_NULL, NULL }, 0, 0 },
		{ KIND_ACTOR, { "email", FILTER_NOT_NULL, NULL }, 0, 1 },
		{ KIND_ACTOR, { "email", FILTER_IS, NULL }, ERR_INVAL, 0 },
		{ KIND_GROUP, { "actor_id", FILTER_IS, "04010000-0000-0000-0000-000000000000" }, 0, 1 },
		{ KIND_RESOURCE, { "site_id", FILTER_IS, "03010000-0000-0000-0000-000000000000" }, 0, 1 },
		{ KIND_RESOURCE, { "group_id", FILTER_IS, "05010000-0000-0000-0000-000000000000" }, 0, 1 },
		{ KIND_POLICY, { "site_id", FILTER_IS, "03010000-0000-0000-0000-000000000000" }, 0, 1 },
		{ KIND_POLICY, { "site_id", FILTER_IS, "04010000-0000-0000-0000-000000000000" }, 0, 0 },
		{ KIND_CLIENT, { "status", FILTER_IS, "unverified" }, 0, 1 },
		{ KIND_CLIENT, { "group_id", FILTER_IS, "05010000-0000-0000-0000-000000000000" }, 0, 1 },
		{ KIND_CLIENT, { "psk_base", FILTER_IS, "x" }, ERR_INVAL, 0 },
		{ KIND_CLIENT_TOKEN, { "secret_hash", FILTER_IS, "hash" }, ERR_INVAL, 0 },
		{ KIND_CLIENT_TOKEN, { "expires_at", FILTER_BELOW, "1800000000000002" }, 0, 1 },
		{ KIND_CLIENT_TOKEN, { "expires_at", FILTER_ABOVE, "1800000000000002" }, 0, 0 },
		{ KIND_CLIENT_TOKEN, { "expires_at", FILTER_ABOVE, "soon" }, ERR_INVAL, 0 },
		{ KIND_AUTHORIZATION, { "actor_id", FILTER_IS, "04010000-0000-0000-0000-000000000000" }, 0, 1 },
	};
	struct world w = open_world();

	fill(&w);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_query q = { .kind = cases[i].kind, .account = w.account, .filters = { cases[i].f }, .n_filters = 1, .wants_count = true };
		struct store_page p;
		u32 n = 0;

		if (!EXPECT_EQ(store_page(w.s, &q, count_rows_of, &n, &p), cases[i].rc) || !EXPECT_EQ(n, cases[i].n))
			fprintf(stderr, "case %zu: %s %s: %s\n", i, cases[i].f.field, cases[i].f.value, store_reason(w.s));
		EXPECT_EQ(p.count, n);
		n = 0;
		EXPECT_EQ(store_select(w.s, cases[i].kind, &w.account, &cases[i].f, 1, 0, count_rows_of, &n), cases[i].rc);
		EXPECT_EQ(n, cases[i].n);
	}
	union any_entity e;
	struct store_filter by_email = { "email", FILTER_IS, "jo@example.com" };
	REQUIRE(store_find(w.s, KIND_ACTOR, &w.account, &by_email, 1, &e) == 0);
	EXPECT_STR(e.actor.name, "Jo");
	entity_deinit(KIND_ACTOR, &e);
	EXPECT_EQ(store_find(w.s, KIND_ACTOR, &w.other, &by_email, 1, &e), ERR_NOT_FOUND);
	close_world(&w);
}

static bool keep_odd(void *ctx, const struct uuid *id)
{
	++*(u32 *)ctx;
	return id->b[3] & 1;
}

TEST(the_asker_decides_what_the_store_cannot_know)
{
	struct world w = open_world();
	u32 asked = 0, n = 0;
	struct store_page p;

	w.account = id_of(1);
	EXPECT_EQ(add_account(&w, 1, "acme", "aaaaaa"), 0);
	for (u32 i = 0; i < 10; i++) {
		char email[32];
		snprintf(email, sizeof(email), "p%u@example.com", i);
		EXPECT_EQ(add_actor(&w, i, "p", email), 0);
	}
	struct store_query q = { .kind = KIND_ACTOR, .account = w.account, .keep = keep_odd, .keep_ctx = &asked, .wants_count = true };
	EXPECT_EQ(store_page(w.s, &q, count_rows_of, &n, &p), 0);
	EXPECT_EQ(n, 5);
	EXPECT_EQ(p.count, 5);
	EXPECT(asked >= 10);
	close_world(&w);
}

/* ---- large tables: a list finds the same rows whichever way it goes about it ---- */

#define PEOPLE 2400u
#define TAIL 700u /* the last ones have a word in common */

static struct uuid id_of_person(u32 i)
{
	return (struct uuid){ { (u8)(i >> 8), (u8)i, (u8)(i * 37), 7, 9 } };
}

static int type_of_person(u32 i)
{
	return i % 50 == 0 ? ACTOR_ADMIN : ACTOR_USER;
}

static void add_people(struct world *w)
{
	char name[32], email[32];

	EXPECT_EQ(store_begin(w->s, STORE_EAGER), 0);
	for (u32 i = 0; i < PEOPLE; i++) {
		struct actor a = { .e = { .account_id = w->account, .id = id_of_person(i) }, .type = type_of_person(i), .name = name, .email = email,
				   .disabled_at = i % 3 == 0 };
		snprintf(name, sizeof(name), "p%04u%s", i, i + TAIL >= PEOPLE ? " zebra" : "");
		snprintf(email, sizeof(email), "%u-%u@example.com", i * 7919 % PEOPLE, i);
		EXPECT_EQ(store_insert(w->s, KIND_ACTOR, &a, WALL + i * 1000ull), 0);
	}
	EXPECT_EQ(store_commit(w->s), 0);
}

struct people {
	u32 n;
	i32 last;
	bool is_by_name, is_down;
	bool has[PEOPLE];
};

static int see_person(void *ctx, enum kind k, const void *row)
{
	struct people *p = ctx;
	const struct actor *a = row;
	u32 i = (u32)strtoul(a->name + 1, NULL, 10);

	(void)k;
	EXPECT(i < PEOPLE && !p->has[i]);
	if (p->is_by_name && p->n > 0)
		EXPECT(p->is_down ? (i32)i < p->last : (i32)i > p->last);
	p->last = (i32)i;
	p->has[i] = true;
	p->n++;
	return 0;
}

static bool is_wanted(const struct store_query *q, u32 i)
{
	char name[32];

	snprintf(name, sizeof(name), "p%04u%s", i, i + TAIL >= PEOPLE ? " zebra" : "");
	if (q->text && !strstr(name, q->text))
		return false;
	for (u32 f = 0; f < q->n_filters; f++) {
		bool is_type = strcmp(q->filters[f].field, "type") == 0;
		bool is_so = is_type ? strcmp(actor_type_names[type_of_person(i)], q->filters[f].value) == 0 :
				       (i % 3 == 0) == (strcmp(q->filters[f].value, "disabled") == 0);
		if (is_so != (q->filters[f].op == FILTER_IS))
			return false;
	}
	struct uuid id = id_of_person(i);
	return !q->among || ids_has(q->among, &id);
}

static void compare_pages(struct world *w, struct store_query *q, bool is_by_name)
{
	struct people seen = { .is_by_name = is_by_name, .is_down = q->is_descending };
	struct store_page p;
	u32 wanted = 0;

	q->cursor = NULL;
	do {
		EXPECT_EQ(store_page(w->s, q, see_person, &seen, &p), 0);
		q->cursor = p.next;
		EXPECT(seen.n == wanted + p.n);
		wanted = seen.n;
	} while (p.has_next);
	wanted = 0;
	for (u32 i = 0; i < PEOPLE; i++) {
		EXPECT_EQ(seen.has[i], is_wanted(q, i));
		wanted += seen.has[i];
	}
	EXPECT_EQ(p.is_more ? wanted >= (u32)p.count : (i64)wanted == p.count, 1);
}

TEST(a_list_of_thousands_finds_the_same_rows_whichever_way_it_goes)
{
	static const char *const texts[] = { NULL, "zebra", "p", "p0", "p2399", "nobody" }, *const sorts[] = { NULL, "name", "email", "type" };
	static const struct store_filter filters[][2] = {
		{ { NULL, FILTER_IS, NULL } },
		{ { "type", FILTER_IS, "account_admin_user" } },
		{ { "type", FILTER_IS, "account_user" } },
		{ { "type", FILTER_IS_NOT, "api_client" }, { "status", FILTER_IS, "disabled" } },
		{ { "type", FILTER_IS, "account_user" }, { "status", FILTER_IS, "active" } },
	};
	struct world w = open_world();
	enum { N_CASES = ARRAY_LEN(texts) * ARRAY_LEN(sorts) * ARRAY_LEN(filters) };
	struct ids some = { 0 };

	w.account = id_of(1);
	EXPECT_EQ(add_account(&w, 1, "acme", "aaaaaa"), 0);
	add_people(&w);
	for (u32 i = 0; i < PEOPLE; i += 4) {
		struct uuid id = id_of_person(i);
		EXPECT_EQ(ids_add(&some, &id), 0);
	}
	EXPECT_EQ(some.n, PEOPLE / 4);
	for (u32 c = 0; c < 4 * N_CASES; c += 7) {
		u32 t = c % ARRAY_LEN(texts), s = c / ARRAY_LEN(texts) % ARRAY_LEN(sorts), f = c / ARRAY_LEN(texts) / ARRAY_LEN(sorts) % ARRAY_LEN(filters);
		struct store_query q = { .kind = KIND_ACTOR, .account = w.account, .text = texts[t], .sort = sorts[s],
					 .limit = 100, .wants_count = true, .is_rough = c & 1, .is_descending = c / N_CASES & 1, .among = c / N_CASES & 2 ? &some : NULL };

		for (u32 i = 0; i < 2 && filters[f][i].field; i++)
			q.filters[q.n_filters++] = filters[f][i];
		compare_pages(&w, &q, s == 1);
	}
	ids_free(&some);
	close_world(&w);
}
