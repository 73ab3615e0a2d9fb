/* Who somebody is whom an identity provider vouches for (spec 60 §3.6; item 26). */
#include "applets/portal/auth/identity.h"

#include "applets/portal/http/exchange_int.h"
#include "applets/portal/model/directory.h"
#include "tests/unit/http_world.h"

#include <stdio.h>
#include <string.h>

static int count_row(void *ctx, enum kind k, const void *row)
{
	(void)k;
	(void)row;
	++*(u32 *)ctx;
	return 0;
}

static u32 count(struct http_world *w, enum kind k)
{
	u32 n = 0;

	EXPECT_EQ(store_list(w->portal->portal.store, k, NULL, count_row, &n), 0);
	return n;
}

/* The e-mail address of the actor whom that profile leads to; "" for nobody. */
static const char *comes_as(struct http_world *w, const char *issuer, const char *idp_id, const char *email, const char *name)
{
	static char out[200];
	struct portal *p = &w->portal->portal;
	const struct directory *d = hub_directory(p->hub);
	const struct account *acme = directory_account_named(d, "acme");
	struct http_parser *parser = http_parser_new(HTTP_REQUEST, 1000);
	struct oidc_profile profile = { .issuer = issuer, .idp_id = idp_id, .email = email, .name = name };
	const char *text = "GET /healthz HTTP/1.1\r\nHost: portal.example\r\n\r\n";
	struct ip hop = { .family = 4, .b = { 192, 0, 2, 1 } };
	struct uuid id;
	struct span body;
	size_t used;

	(void)http_parser_input(parser, SPAN(text, strlen(text)), &used, &body);
	struct run *r = exchange_new(&w->server, http_parser_head(parser), &hop, NULL, NULL);
	int rc = identity_sign_in(&r->x, acme, &profile, &id);
	const struct actor *actor = rc ? NULL : directory_get(d, KIND_ACTOR, &acme->e.id, &id);
	snprintf(out, sizeof(out), "%s", actor ? actor->email : rc == ERR_NOT_FOUND ? "" : "?");
	exchange_free(r);
	http_parser_free(parser);
	return out;
}

#define ISSUER "https://idp.example"

TEST(spec60_26_nobody_is_made_up_and_who_is_known_is_found)
{
	struct http_world *w = http_new();
	u32 actors;

	EXPECT_EQ(admin(w->portal, "actor add --name Kim --email kim@acme.example"), 0);
	EXPECT_EQ(admin(w->portal, "actor add --name Ola --email ola@b\303\274cher.example"), 0);
	EXPECT_EQ(admin(w->portal, "actor add --type service-account --name robot"), 0);
	actors = count(w, KIND_ACTOR);
	EXPECT_STR(comes_as(w, ISSUER, "1", "stranger@acme.example", "X"), "");
	EXPECT_EQ(count(w, KIND_IDENTITY), 0);
	EXPECT_STR(comes_as(w, ISSUER, "2", "KIM@acme.example", "Kim"), "kim@acme.example");
	EXPECT_STR(comes_as(w, ISSUER, "3", "ola@B\303\234CHER.example", "Ola"), "ola@xn--bcher-kva.example");
	EXPECT_EQ(count(w, KIND_IDENTITY), 2);
	/* he has another address there now: by the identity */
	EXPECT_STR(comes_as(w, ISSUER, "2", "kim@elsewhere.example", "Kim"), "kim@acme.example");
	/* the same id of another issuer is somebody else */
	EXPECT_STR(comes_as(w, "https://other.example", "2", "kim@elsewhere.example", "Kim"), "");
	EXPECT_EQ(count(w, KIND_IDENTITY), 2);
	EXPECT_EQ(count(w, KIND_ACTOR), actors);
	http_free(w);
}

/* An address that another has now leads to him, and the identity stays whose it was. */
TEST(an_identity_is_not_given_to_another_actor)
{
	struct http_world *w = http_new();

	EXPECT_EQ(admin(w->portal, "actor add --name Kim --email kim@acme.example"), 0);
	EXPECT_EQ(admin(w->portal, "actor add --name Ola --email ola@acme.example"), 0);
	EXPECT_STR(comes_as(w, ISSUER, "2", "kim@acme.example", "Kim"), "kim@acme.example");
	EXPECT_STR(comes_as(w, ISSUER, "2", "ola@acme.example", "Ola"), "ola@acme.example");
	EXPECT_EQ(count(w, KIND_IDENTITY), 1);
	EXPECT_STR(comes_as(w, ISSUER, "2", "nobody@acme.example", "Kim"), "kim@acme.example");
	EXPECT_EQ(admin(w->portal, "actor disable kim@acme.example"), 0);
	EXPECT_STR(comes_as(w, ISSUER, "9", "kim@acme.example", "Kim"), ""); /* who is disabled is nobody */
	http_free(w);
}
