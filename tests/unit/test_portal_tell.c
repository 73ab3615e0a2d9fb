/* What many peers must be told is told in slices: in order, completely, and never so much at once that others wait. The clock of these tests goes on by
 * half a millisecond whenever somebody looks at it, which the hub does after each peer. */
#include "tests/unit/portal_scene.h"

#include "applets/portal/channels/internal.h"

#define CROWD 20u
#define GLANCE USEC(500)
#define SLICE_PEERS 2u /* HUB_SLICE / GLANCE */

static u64 hub_clock;

static u64 look_at_clock(void)
{
	hub_clock += GLANCE;
	return hub_clock;
}

struct crowd {
	struct scene s;
	struct hub *hub;
	struct fake *c[CROWD];
	u32 n;
};

static struct crowd crowd(void)
{
	struct crowd k = { .s = scene_without_peers(), .n = CROWD };

	k.hub = k.s.w->portal.hub;
	k.s.g = join_gateway(k.s.w, k.s.gateway_token, "gw", 'g');
	EXPECT_EVENT(k.s.g, "init");
	for (u32 i = 0; i < k.n; i++) {
		char name[16];
		snprintf(name, sizeof(name), "c%u", i);
		k.c[i] = join_client(k.s.w, k.s.client_token, name, (char)('A' + i));
		EXPECT_EVENT(k.c[i], "init");
	}
	k.s.c = k.c[0];
	k.hub->cfg.clock = look_at_clock;
	return k;
}

/* How many have heard this as the next thing. */
static u32 have_heard(struct crowd *k, bool is_told[static CROWD], const char *event)
{
	u32 n = 0;

	for (u32 i = 0; i < k->n; i++) {
		if (is_told[i] || !k->c[i]->peer || !hear(k->c[i])[0])
			continue;
		EXPECT_STR(k->c[i]->event, event);
		is_told[i] = true;
		n++;
	}
	return n;
}

static bool goes_on(struct crowd *k)
{
	if (hub_next_timeout(k->hub) > portal_now)
		return false;
	hub_timeout(k->hub, portal_now, portal_wall);
	return true;
}

static void finish(struct crowd *k)
{
	for (u32 i = 0; goes_on(k); i++)
		if (!EXPECT(i < 10000))
			return;
}

TEST(spec60_54_a_change_reaches_many_in_slices_each_once)
{
	struct crowd k = crowd();
	bool is_told[CROWD] = { false };
	u32 n, total = 0, slices = 0;

	EXPECT_EQ(admin_f(k.s.w, "policy disable %s", k.s.policy), 0);
	do {
		n = have_heard(&k, is_told, "resource_deleted");
		EXPECT(n <= SLICE_PEERS);
		total += n;
		slices++;
		EXPECT(slices < 100);
	} while (goes_on(&k) && slices < 100);
	total += have_heard(&k, is_told, "resource_deleted");
	EXPECT_EQ(total, CROWD);
	EXPECT(slices >= CROWD / SLICE_PEERS);
	for (u32 i = 0; i < CROWD; i++)
		EXPECT_NOTHING(k.c[i]);
	EXPECT(hub_next_timeout(k.hub) > portal_now);
	portal_free(k.s.w);
}

TEST(spec60_54_a_second_change_in_the_middle_is_told_after_the_first)
{
	struct crowd k = crowd();
	u32 both = 0, none = 0;
	char policy[40];

	EXPECT_EQ(admin(k.s.w, "resource add --site Berlin --address 10.8.0.0/24 --name late"), 0);
	finish(&k);
	snprintf(policy, sizeof(policy), "%s", admin_value(k.s.w, "policy add --group Everyone --resource late", "id"));
	EXPECT(goes_on(&k));
	EXPECT_EQ(admin_f(k.s.w, "policy disable %s", policy), 0);
	finish(&k);
	for (u32 i = 0; i < CROWD; i++) {
		if (hear(k.c[i])[0]) {
			EXPECT_STR(k.c[i]->event, "resource_created_or_updated");
			EXPECT_EVENT(k.c[i], "resource_deleted");
			both++;
		} else {
			none++;
		}
		EXPECT_NOTHING(k.c[i]);
	}
	EXPECT(both >= 1 && none >= 1);
	EXPECT_EQ(both + none, CROWD);
	portal_free(k.s.w);
}

TEST(spec60_35_deletions_come_first_also_when_two_changes_are_one)
{
	struct crowd k = crowd();

	EXPECT_EQ(admin(k.s.w, "resource add --site Berlin --address 10.8.0.0/24 --name late"), 0);
	finish(&k);
	EXPECT_EQ(admin(k.s.w, "policy add --group Everyone --resource late"), 0);
	EXPECT_EQ(admin_f(k.s.w, "policy update %s --condition 'remote_ip is_in_cidr 198.51.100.0/24'", k.s.policy), 0);
	finish(&k);
	for (u32 i = 0; i < CROWD; i++) {
		bool is_created = false;
		u32 n_deleted = 0, n_created = 0;

		while (hear(k.c[i])[0]) {
			bool is_deletion = strcmp(k.c[i]->event, "resource_deleted") == 0;
			n_deleted += is_deletion;
			n_created += !is_deletion;
			/* who heard of both at once heard the deletion first */
			EXPECT(!is_deletion || !is_created || n_created == 1);
			is_created = !is_deletion;
		}
		EXPECT_EQ(n_deleted, 1);
		EXPECT_EQ(n_created, 2);
		EXPECT(is_created);
	}
	portal_free(k.s.w);
}

TEST(spec60_34_who_joins_in_the_middle_has_it_in_his_init_and_hears_no_more)
{
	struct crowd k = crowd();

	EXPECT_EQ(admin(k.s.w, "resource update lab --address 10.7.0.0/24"), 0);
	EXPECT(goes_on(&k));
	struct fake *late = join_client(k.s.w, k.s.client_token, "late", 'z');
	EXPECT_EVENT(late, "init");
	EXPECT_STR(heard(late, "resources.0.address"), "10.7.0.0/24");
	finish(&k);
	EXPECT_NOTHING(late);
	for (u32 i = 0; i < CROWD; i++) {
		EXPECT_EVENT(k.c[i], "resource_created_or_updated");
		EXPECT_STR(heard(k.c[i], "address"), "10.7.0.0/24");
		EXPECT_NOTHING(k.c[i]);
	}
	portal_free(k.s.w);
}

TEST(peers_that_go_in_the_middle_of_a_walk_are_not_missed_and_miss_nobody)
{
	struct crowd k = crowd();

	for (u32 round = 0; round < 4; round++) {
		EXPECT_EQ(admin_f(k.s.w, round % 2 ? "policy enable %s" : "policy disable %s", k.s.policy), 0);
		for (u32 i = round; i < CROWD; i += 5) {
			if (k.c[i]->peer)
				hang_up(k.c[i]);
			(void)goes_on(&k);
		}
		finish(&k);
		for (u32 i = 0; i < CROWD; i++) {
			if (!k.c[i]->peer)
				continue;
			EXPECT_EVENT(k.c[i], round % 2 ? "resource_created_or_updated" : "resource_deleted");
			EXPECT_NOTHING(k.c[i]);
		}
	}
	portal_free(k.s.w);
}

/* Somebody who was not told yet asks for what he knows of: he is told first. */
TEST(a_flow_in_the_middle_is_judged_and_answered_by_the_new)
{
	struct crowd k = crowd();
	u32 asked = 0;

	EXPECT_EQ(admin_f(k.s.w, "policy disable %s", k.s.policy), 0);
	for (u32 i = 0; i < CROWD; i++) {
		k.s.c = k.c[i];
		ask_flow(&k.s, k.s.resource);
		EXPECT_EVENT(k.c[i], "resource_deleted");
		EXPECT_EVENT(k.c[i], "flow_creation_failed");
		EXPECT_STR(heard(k.c[i], "reason"), "not_found");
		asked++;
	}
	finish(&k);
	EXPECT_EQ(asked, CROWD);
	for (u32 i = 0; i < CROWD; i++)
		EXPECT_NOTHING(k.c[i]);
	EXPECT_NOTHING(k.s.g);
	portal_free(k.s.w);
}

TEST(what_is_revoked_reaches_the_gateway_before_what_is_granted_anew)
{
	struct crowd k = crowd();
	u32 rejected = 0;

	for (u32 i = 0; i < CROWD; i++) {
		k.s.c = k.c[i];
		make_flow(&k.s);
	}
	EXPECT_EQ(admin_f(k.s.w, "policy update %s --condition 'remote_ip is_in_cidr 198.51.100.0/24'", k.s.policy), 0);
	k.s.c = k.c[CROWD - 1]; /* of the last to be revoked */
	EXPECT(hub_next_timeout(k.hub) <= portal_now);
	ask_flow(&k.s, k.s.resource);
	EXPECT_EVENT(k.s.c, "resource_deleted");
	EXPECT_EVENT(k.s.c, "resource_created_or_updated");
	while (strcmp(hear(k.s.g), "access_authorization_expiry_updated") == 0)
		rejected++; /* revoked, and granted by the same policy as it is now */
	EXPECT_STR(k.s.g->event, "authorize_flow");
	EXPECT_EQ(rejected, CROWD);
	answer_flow(&k.s);
	EXPECT_EVENT(k.s.c, "flow_created");
	finish(&k);
	EXPECT_NOTHING(k.s.g);
	EXPECT_NOTHING(k.s.c);
	portal_free(k.s.w);
}

TEST(spec60_55_many_are_disconnected_in_slices_and_no_one_gets_anything_more)
{
	struct crowd k = crowd();
	bool is_told[CROWD] = { false };
	u32 total = 0, n;

	EXPECT_EQ(admin(k.s.w, "account disable acme"), 0);
	n = have_heard(&k, is_told, "disconnect");
	EXPECT(n >= 1 && n <= SLICE_PEERS + 1);
	total += n;
	for (u32 i = 0; i < CROWD; i++) {
		if (is_told[i])
			continue;
		k.s.c = k.c[i];
		ask_flow(&k.s, k.s.resource);
		EXPECT_EVENT(k.c[i], "disconnect");
		EXPECT_STR(heard(k.c[i], "reason"), "token_expired");
		is_told[i] = true;
		total++;
		break;
	}
	while (goes_on(&k)) {
		n = have_heard(&k, is_told, "disconnect");
		EXPECT(n <= SLICE_PEERS + 1);
		total += n;
	}
	total += have_heard(&k, is_told, "disconnect");
	EXPECT_EQ(total, CROWD);
	EXPECT_NOTHING(k.s.g);
	portal_free(k.s.w);
}

TEST(a_token_that_goes_between_connect_and_join_ends_the_connection)
{
	struct scene s = scene_without_peers();
	struct connect c = { .role = MSG_ROLE_CLIENT, .token = s.client_token, .external_id = "x", .key = 'x', .user_agent = CLIENT_UA };
	struct fake *f = connect_as(s.w, &c);

	REQUIRE(f->peer != NULL);
	EXPECT_EQ(admin(s.w, "account disable acme"), 0);
	say(f, "phx_join", "null");
	while (hear(f)[0])
		EXPECT(strcmp(f->event, "init") != 0);
	EXPECT_EQ(f->closed, 1000);
	portal_free(s.w);
}

TEST(more_than_the_queue_holds_is_told_as_everything_anew)
{
	struct crowd k = crowd();
	const struct account *acme = directory_account_named(hub_directory(k.hub), "acme");
	struct hub_stats st;

	make_flow(&k.s);
	hub_stats(k.hub, &st);
	for (u32 i = 0; i < TELL_ITEMS_MAX + 10; i++) {
		struct tell item = { .what = TELL_FILTERS };
		memcpy(item.id.b, &i, sizeof(i));
		REQUIRE(tell_item(k.hub, &acme->e.id, &item) == 0);
	}
	u64 before = st.limits_reached;
	hub_stats(k.hub, &st);
	EXPECT_EQ(st.limits_reached, before + 1);
	finish(&k);
	EXPECT_EVENT(k.s.g, "init");
	EXPECT_STR(heard(k.s.g, "authorizations"), "1");
	EXPECT_NOTHING(k.s.g);
	for (u32 i = 0; i < CROWD; i++) {
		EXPECT_EVENT(k.c[i], "config_changed");
		EXPECT_EVENT(k.c[i], "resource_deleted");
		EXPECT_EVENT(k.c[i], "resource_created_or_updated");
		EXPECT_NOTHING(k.c[i]);
	}
	portal_free(k.s.w);
}

TEST(spec60_61_shutdown_tells_what_waits_before_it_closes)
{
	struct crowd k = crowd();

	EXPECT_EQ(admin_f(k.s.w, "policy disable %s", k.s.policy), 0);
	EXPECT(hub_next_timeout(k.hub) <= portal_now);
	EXPECT_EQ(hub_restart(k.hub, portal_now, portal_wall, UINT32_MAX), 0);
	for (u32 i = 0; i < CROWD; i++) {
		EXPECT_EVENT(k.c[i], "resource_deleted");
		EXPECT_EVENT(k.c[i], "close");
		EXPECT_EQ(k.c[i]->closed, 1012);
	}
	finish(&k);
	portal_free(k.s.w);
}

TEST(accounts_take_turns)
{
	struct crowd k = crowd();
	bool is_told[CROWD] = { false };
	u32 others = 0;

	EXPECT_EQ(admin(k.s.w, "account add --name Other --slug other --admin-email al@other.example"), 0);
	finish(&k);
	struct fake *f = join_client(k.s.w, token_for(k.s.w, "--account other --actor al@other.example"), "o", 'o');
	EXPECT_EVENT(f, "init");
	EXPECT_EQ(admin(k.s.w, "account update acme --search-domain a.example.com"), 0);
	EXPECT_EQ(admin(k.s.w, "account update other --search-domain b.example.com"), 0);
	for (u32 i = 0; i < 100 && !hear(f)[0]; i++) {
		others += have_heard(&k, is_told, "config_changed");
		EXPECT(goes_on(&k));
	}
	EXPECT_STR(f->event, "config_changed");
	EXPECT(others < CROWD); /* it did not wait for all of them */
	finish(&k);
	others += have_heard(&k, is_told, "config_changed");
	EXPECT_EQ(others, CROWD);
	portal_free(k.s.w);
}

TEST(relays_that_come_are_told_in_slices)
{
	struct crowd k = crowd();
	bool is_told[CROWD] = { false };
	u32 total = 0, n;

	struct fake *r = join_relay(k.s.w, k.s.relay_token, STAMP_A);
	EXPECT_EVENT(r, "init");
	portal_now += RELAY_DEBOUNCE;
	portal_wall += RELAY_DEBOUNCE;
	while (goes_on(&k)) {
		n = have_heard(&k, is_told, "relays_presence");
		EXPECT(n <= SLICE_PEERS);
		total += n;
	}
	EXPECT_EQ(total, CROWD);
	EXPECT_EVENT(k.s.g, "relays_presence");
	portal_free(k.s.w);
}

/* A person's groups are nobody else's business: the others' lists are not even looked at. */
TEST(a_membership_is_told_to_whom_it_concerns)
{
	struct crowd k = crowd();

	EXPECT_EQ(admin(k.s.w, "actor add --email al@acme.example"), 0);
	EXPECT_EQ(admin(k.s.w, "group add --name team"), 0);
	EXPECT_EQ(admin(k.s.w, "resource add --site Berlin --address 10.6.0.0/24 --name secret"), 0);
	EXPECT_EQ(admin(k.s.w, "policy add --group team --resource secret"), 0);
	finish(&k);
	struct fake *al = join_client(k.s.w, token_for(k.s.w, "--actor al@acme.example"), "al", 'y');
	EXPECT_EVENT(al, "init");
	EXPECT_EQ(admin(k.s.w, "member add --group team --actor al@acme.example"), 0);
	finish(&k);
	EXPECT_EVENT(al, "resource_created_or_updated");
	EXPECT_EQ(admin(k.s.w, "member delete --group team --actor al@acme.example"), 0);
	finish(&k);
	EXPECT_EVENT(al, "resource_deleted");
	EXPECT_NOTHING(al);
	for (u32 i = 0; i < CROWD; i++)
		EXPECT_NOTHING(k.c[i]);
	portal_free(k.s.w);
}
