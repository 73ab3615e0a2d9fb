/* Forms that let choose one of a thousand: some are listed, the others are found by part of their names, without script; and what such pages weigh. */
#include "tests/unit/page_world.h"

#define MANY 1000u

static void fill(struct http_world *w)
{
	struct portal *p = &w->portal->portal;
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	char name[64], address[32];
	struct uuid site;
	const char *id = id_of(w, "site show Berlin");

	REQUIRE(uuid_parse(SPAN(id, strlen(id)), &site) == 0);
	EXPECT_EQ(store_begin(p->store, STORE_EAGER), 0);
	for (u32 i = 0; i < MANY; i++) {
		struct entity fresh = { .account_id = acme->e.id, .id = uuid_random(p->rng) };
		struct group g = { .e = fresh, .name = name };
		struct resource r = { .e = fresh, .site_id = site, .type = RESOURCE_CIDR, .name = name, .address = address };

		snprintf(name, sizeof(name), "Department of Things, number %u", i);
		snprintf(address, sizeof(address), "10.%u.%u.0/24", i / 256, i % 256);
		EXPECT_EQ(store_insert(p->store, KIND_GROUP, &g, portal_wall), 0);
		r.e.id = uuid_random(p->rng);
		EXPECT_EQ(store_insert(p->store, KIND_RESOURCE, &r, portal_wall), 0);
	}
	EXPECT_EQ(store_commit(p->store), 0);
	EXPECT_EQ(hub_publish(p->hub, portal_now, portal_wall), 0);
}

static u32 options(const struct reply *r)
{
	u32 n = 0;

	for (const char *p = r->body; (p = strstr(p, "<option")); p++)
		n++;
	return n;
}

TEST(a_policy_is_made_of_one_of_a_thousand_groups_and_resources)
{
	struct http_world *w = signed_in();
	char group[64], resource[64], form[512], edit[128];
	const struct reply *r;

	fill(w);
	snprintf(group, sizeof(group), "%s", id_of(w, "group show 'Department of Things, number 777'"));
	snprintf(resource, sizeof(resource), "%s", id_of(w, "resource show 'Department of Things, number 888'"));
	r = get(w, "/acme/policies/new", 200);
	EXPECT(r->body_len < 40 * 1024);
	EXPECT(options(r) < 2 * 50 + 10 && options(r) > 2 * 50);
	EXPECT(!strstr(r->body, group));
	/* looked for: the first that was found is chosen, and what was typed stays */
	snprintf(form, sizeof(form), "find-group=number+777&found-group=&group=&find-resource=&found-resource=&resource=%s&description=because&find=group", resource);
	r = http_post(w, "/acme/policies/new", form);
	EXPECT_EQ(r->status, 200);
	EXPECT(html_page_fault(SPAN(r->body, r->body_len)) == NULL);
	EXPECT_HAS(r->body, group);
	EXPECT_HAS(r->body, "value=\"number 777\"");
	EXPECT_HAS(r->body, "value=\"because\"");
	snprintf(form, sizeof(form), "value=\"%s\" selected", resource); /* not among the first fifty, but chosen */
	EXPECT_HAS(r->body, form);
	EXPECT_STR(admin_value(w->portal, "policy list", "id"), "");
	/* the return key in the search presses the first button, which makes the policy: it is a search nevertheless */
	snprintf(form, sizeof(form), "find-group=number+77&found-group=number+777&group=%s&find-resource=&found-resource=&resource=%s", group, resource);
	r = http_post(w, "/acme/policies/new", form);
	EXPECT_EQ(r->status, 200);
	EXPECT_EQ(http_post(w, "/acme/policies/new", "find-group=nobody&found-group=&find-resource=&found-resource=")->status, 200);
	/* nothing new is looked for */
	snprintf(form, sizeof(form), "find-group=number+777&found-group=number+777&group=%s&find-resource=&found-resource=&resource=%s", group, resource);
	r = http_post(w, "/acme/policies/new", form);
	EXPECT_EQ(r->status, 303);
	/* links choose, wherever it is in the list */
	snprintf(edit, sizeof(edit), "%.100s/edit", r->location);
	r = get(w, edit, 200);
	EXPECT(r->body_len < 40 * 1024);
	snprintf(form, sizeof(form), "value=\"%s\" selected", group);
	EXPECT_HAS(r->body, form);
	r = get(w, path("/acme/policies/new?group=%s", group), 200);
	EXPECT_HAS(r->body, form);
	http_free(w);
}

TEST(why_finds_the_resource_among_a_thousand)
{
	struct http_world *w = signed_in();
	char client[64], resource[64], where[300];
	struct fake *c;

	fill(w);
	EXPECT_EQ(admin(w->portal, "actor add --name Zoe --email zoe@acme.example"), 0);
	c = join_client(w->portal, token_for(w->portal, "--actor zoe@acme.example"), "laptop", 'c');
	EXPECT_EVENT(c, "init");
	snprintf(client, sizeof(client), "%s", id_of(w, "client show laptop"));
	snprintf(resource, sizeof(resource), "%s", id_of(w, "resource show 'Department of Things, number 888'"));
	const struct reply *r = get(w, "/acme/why", 200);
	EXPECT(r->body_len < 30 * 1024 && options(r) <= 52);
	EXPECT(!strstr(r->body, "class=steps"));
	snprintf(where, sizeof(where), "/acme/why?client=%s&find-resource=number+888&found-resource=", client);
	r = get(w, where, 200);
	EXPECT_HAS(r->body, resource);
	EXPECT(!strstr(r->body, "class=steps"));
	snprintf(where, sizeof(where), "/acme/why?client=%s&resource=%s&find-resource=number+888&found-resource=number+888", client, resource);
	EXPECT_HAS(get(w, where, 200)->body, "class=steps");
	snprintf(where, sizeof(where), "/acme/why?client=%s&resource=%s", client, resource); /* a link */
	r = get(w, where, 200);
	EXPECT_HAS(r->body, "class=steps");
	EXPECT(r->body_len < 30 * 1024);
	http_free(w);
}

TEST(a_resource_is_put_into_one_of_a_thousand_sites)
{
	struct http_world *w = signed_in();
	struct portal *p = &w->portal->portal;
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	char name[64], form[512], site[64], edit[128];
	const struct reply *r;

	EXPECT_EQ(store_begin(p->store, STORE_EAGER), 0);
	for (u32 i = 0; i < MANY; i++) {
		struct site s = { .e = { .account_id = acme->e.id, .id = uuid_random(p->rng) }, .name = name };
		snprintf(name, sizeof(name), "Branch %u", i);
		EXPECT_EQ(store_insert(p->store, KIND_SITE, &s, portal_wall), 0);
	}
	EXPECT_EQ(store_commit(p->store), 0);
	EXPECT_EQ(hub_publish(p->hub, portal_now, portal_wall), 0);
	snprintf(site, sizeof(site), "%s", id_of(w, "site show 'Branch 777'"));
	r = get(w, "/acme/resources/new", 200);
	EXPECT(r->body_len < 30 * 1024 && options(r) < 70);
	EXPECT(!strstr(r->body, ">" INTERNET_SITE "<"));
	/* found, chosen, kept */
	r = http_post(w, "/acme/resources/new", "address=10.1.0.0/24&name=Printers&find-site=branch+777&found-site=&site=&find=site");
	EXPECT_EQ(r->status, 200);
	EXPECT(html_page_fault(SPAN(r->body, r->body_len)) == NULL);
	EXPECT_HAS(r->body, site);
	EXPECT_HAS(r->body, "value=\"Printers\"");
	snprintf(form, sizeof(form), "address=10.1.0.0/24&name=Printers&find-site=branch+777&found-site=branch+777&site=%s", site);
	EXPECT_EQ(http_post(w, "/acme/resources/new", form)->status, 303);
	snprintf(edit, sizeof(edit), "/acme/resources/%s/edit", id_of(w, "resource show Printers"));
	r = get(w, edit, 200);
	snprintf(form, sizeof(form), "value=\"%s\" selected", site); /* not among the first fifty */
	EXPECT_HAS(r->body, form);
	EXPECT(options(r) < 70);
	/* and so are the filters of lists, which may ask for the Internet's too */
	r = get(w, path("/acme/resources?site=%s", site), 200);
	EXPECT(html_page_fault(SPAN(r->body, r->body_len)) == NULL);
	EXPECT_HAS(r->body, form);
	EXPECT_HAS(r->body, ">Printers<");
	EXPECT(r->body_len < 30 * 1024);
	EXPECT_HAS(get(w, "/acme/policies?find-site=branch+777", 200)->body, site);
	EXPECT_HAS(get(w, "/acme/policies?find-site=internet", 200)->body, ">" INTERNET_SITE "<");
	http_free(w);
}
