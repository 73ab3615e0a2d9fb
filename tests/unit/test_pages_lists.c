/* Every table of the pages is searched by part of a text, whatever its case and accents. */
#include "applets/portal/http/exchange_int.h"
#include "applets/portal/model/directory.h"
#include "tests/unit/html_check.h"
#include "tests/unit/http_world.h"

#include <stdio.h>
#include <string.h>

/* Kim's browser. */
static struct http_world *signed_in(void)
{
	struct http_world *w = http_new();

	EXPECT_EQ(admin(w->portal, "actor add --type admin --name Kim --email kim@acme.example"), 0);
	http_sign_in(w, &w->portal->reply.id, NULL, 7);
	EXPECT_EQ(hub_publish(w->portal->portal.hub, portal_now, portal_wall), 0);
	return w;
}

static const char *id_of(struct http_world *w, const char *command)
{
	const char *id = admin_value(w->portal, command, "id");

	EXPECT(id[0] != '\0');
	return id;
}

#define NAME "Z\303\274rich \305\201\303\263d\305\272" /* Zürich Łódź */

TEST(every_list_is_searched_whatever_case_and_accents)
{
	struct http_world *w = signed_in();
	char site[64], group[64], path[8][200], where[300];
	struct fake *g, *c;

	snprintf(site, sizeof(site), "%s", id_of(w, "site add --name '" NAME " site'"));
	snprintf(group, sizeof(group), "%s", id_of(w, "group add --name '" NAME " group'"));
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.1.0.0/16 --name '" NAME " net'"), 0);
	EXPECT_EQ(admin(w->portal, "actor add --name '" NAME " person' --email zl@acme.example"), 0);
	EXPECT_EQ(admin(w->portal, "member add --group '" NAME " group' --actor zl@acme.example"), 0);
	EXPECT_EQ(admin(w->portal, "policy add --group '" NAME " group' --resource '" NAME " net'"), 0);
	EXPECT_EQ(admin(w->portal, "api-client add --name '" NAME " program'"), 0);
	g = join_gateway(w->portal, token_for(w->portal, "--site Berlin"), "gw", 'g');
	EXPECT_EVENT(g, "init");
	EXPECT_EQ(admin(w->portal, "gateway update gw --name '" NAME " gateway'"), 0);
	c = join_client(w->portal, token_for(w->portal, "--actor zl@acme.example"), "laptop", 'c');
	EXPECT_EVENT(c, "init");

	u32 n = 0;
	snprintf(path[n++], sizeof(path[0]), "/acme/sites");
	snprintf(path[n++], sizeof(path[0]), "/acme/sites/%s/gateways", id_of(w, "site show Berlin"));
	snprintf(path[n++], sizeof(path[0]), "/acme/resources");
	snprintf(path[n++], sizeof(path[0]), "/acme/policies");
	snprintf(path[n++], sizeof(path[0]), "/acme/clients"); /* by whose it is */
	snprintf(path[n++], sizeof(path[0]), "/acme/actors");
	snprintf(path[n++], sizeof(path[0]), "/acme/groups/%s", group);
	snprintf(path[n++], sizeof(path[0]), "/acme/settings/api_clients");
	for (u32 i = 0; i < n; i++) {
		snprintf(where, sizeof(where), "%.199s?q=RICH+lodz", path[i]);
		const struct reply *r = http_get(w, where);
		EXPECT_EQ(r->status, 200);
		if (!EXPECT(strstr(r->body, NAME) && !strstr(r->body, "match these filters") && strstr(r->body, "value=\"RICH lodz\"")))
			fprintf(stderr, "%s\n", where);
		const char *fault = html_page_fault(SPAN(r->body, r->body_len));
		if (!EXPECT(fault == NULL))
			fprintf(stderr, "%s: %s\n", where, fault);
		snprintf(where, sizeof(where), "%.199s?q=nowhere", path[i]);
		r = http_get(w, where);
		EXPECT_EQ(r->status, 200);
		if (!EXPECT(strstr(r->body, "match these filters") != NULL))
			fprintf(stderr, "%s\n", where);
	}
	EXPECT_HAS(http_get(w, "/acme/groups?q=zurich")->body, NAME " group");
	EXPECT_HAS(http_get(w, "/acme/activity?q=zurich")->body, NAME);
	http_free(w);
}

/* More sites than fit a page are paged, and none is lost on the way. */
TEST(sites_are_paged)
{
	struct http_world *w = signed_in();
	char command[80], next[1800];
	u32 seen = 0;

	for (u32 i = 0; i < 110; i++) {
		snprintf(command, sizeof(command), "site add --name 'Place %03u'", i);
		EXPECT_EQ(admin(w->portal, command), 0);
	}
	snprintf(next, sizeof(next), "/acme/sites");
	for (u32 pages = 0; next[0] && pages < 5; pages++) {
		const struct reply *r = http_get(w, next);

		EXPECT_EQ(r->status, 200);
		EXPECT(r->body_len < 60 * 1024);
		for (const char *p = r->body; (p = strstr(p, ">Place ")); p++)
			seen++;
		const char *link = strstr(r->body, "rel=\"next\" href=\"");
		next[0] = '\0';
		if (link) {
			link += strlen("rel=\"next\" href=\"");
			strcpy(next, "/acme/sites");
			for (size_t n = strlen(next); *link != '"' && n + 2 < sizeof(next); link++) {
				next[n++] = *link;
				next[n] = '\0';
				link += strncmp(link, "&amp;", 5) == 0 ? 4 : 0;
			}
		}
	}
	EXPECT_EQ(seen, 110);
	http_free(w);
}

/* A hundred that are long gone do not hide the one that is there. */
TEST(a_site_shows_the_gateway_that_is_online_behind_many_that_are_not)
{
	struct http_world *w = signed_in();
	struct portal *p = &w->portal->portal;
	const struct account *acme = directory_account_named(hub_directory(p->hub), "acme");
	struct uuid site;
	char where[100], id[64];
	struct fake *g;

	snprintf(id, sizeof(id), "%s", id_of(w, "site show Berlin"));
	REQUIRE(uuid_parse(SPAN(id, strlen(id)), &site) == 0);
	EXPECT_EQ(store_begin(p->store, STORE_EAGER), 0);
	for (u32 i = 0; i < 120; i++) {
		char external[16];
		struct gateway gw;

		entity_init(KIND_GATEWAY, &gw);
		snprintf(external, sizeof(external), "old%u", i);
		gw.d.e.account_id = acme->e.id;
		rng_fill(p->rng, gw.d.e.id.b, sizeof(gw.d.e.id.b));
		gw.d.owner_id = site;
		EXPECT_EQ(text_set(&gw.d.external_id, external), 0);
		EXPECT_EQ(text_set(&gw.d.name, external), 0);
		EXPECT_EQ(store_insert_device(p->store, KIND_GATEWAY, &gw.d, portal_wall), 0);
		entity_deinit(KIND_GATEWAY, &gw);
	}
	EXPECT_EQ(store_commit(p->store), 0);
	EXPECT_EQ(hub_publish(p->hub, portal_now, portal_wall), 0);
	tick(w->portal, SEC(1));
	g = join_gateway(w->portal, token_for(w->portal, "--site Berlin"), "thisone", 'g');
	EXPECT_EVENT(g, "init");
	EXPECT_EQ(admin(w->portal, "gateway update thisone --name attic"), 0);
	snprintf(where, sizeof(where), "/acme/sites/%s", id);
	const struct reply *r = http_get(w, where);
	EXPECT_EQ(r->status, 200);
	EXPECT_HAS(r->body, ">attic</a>");
	EXPECT_HAS(r->body, "120 away");
	EXPECT(!strstr(r->body, ">old1</a>"));
	http_free(w);
}

/* Both ways, as its heads of columns offer it. */
TEST(every_list_can_be_sorted_as_it_offers)
{
	static const char *const lists[] = { "/acme/sites", "/acme/resources", "/acme/policies", "/acme/clients", "/acme/actors", "/acme/groups" };
	struct http_world *w = signed_in();

	EXPECT_EQ(admin(w->portal, "group add --name Makers"), 0);
	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.1.0.0/16 --name Net"), 0);
	EXPECT_EQ(admin(w->portal, "policy add --group Makers --resource Net"), 0);
	struct fake *c = join_client(w->portal, token_for(w->portal, "--actor kim@acme.example"), "laptop", 'c');
	EXPECT_EVENT(c, "init");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		char offered[16][200];
		u32 n = 0;

		for (const char *at = http_get(w, lists[i])->body; n < ARRAY_LEN(offered) && (at = strstr(at, "href=\"")); at++) {
			const char *end = strchr(at + 6, '"');

			if (end && memmem(at, (size_t)(end - at), "sort=", 5))
				snprintf(offered[n++], sizeof(offered[0]), "%s%.*s", at[6] == '?' ? lists[i] : "", (int)(end - at - 6), at + 6);
		}
		EXPECT(n > 0);
		for (u32 k = 0; k < n; k++) {
			char *amp = strstr(offered[k], "&amp;");

			if (amp)
				memmove(amp + 1, amp + 5, strlen(amp + 5) + 1);
			if (http_get(w, offered[k])->status != 200)
				test_fail(__FILE__, __LINE__, "%s offers %s, which answers %d", lists[i], offered[k], w->reply.status);
		}
	}
	http_free(w);
}
