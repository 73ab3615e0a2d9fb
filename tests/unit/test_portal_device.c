/* Client to client at the portal (spec 10 §7.4, spec 60 §4.10): who may reach whose device, what both are told, and when it ends. */
#include "tests/unit/portal_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Jo's laptop and a print server that is in a pool everyone may use. */
struct scene {
	struct portal_world *w;
	struct fake *laptop, *printer;
	char laptop_id[40], printer_id[40], policy[40], printer_token[300], ask[64];
};

static int admin_f(struct portal_world *w, const char *format, const char *a)
{
	char command[600];

	snprintf(command, sizeof(command), format, a);
	return admin(w, command);
}

static struct scene scene(bool has_feature)
{
	struct scene s = { .w = portal_new() };

	EXPECT_EQ(admin(s.w, "actor add --type service-account --name print"), 0);
	snprintf(s.printer_token, sizeof(s.printer_token), "%s", token_for(s.w, "--actor print --expires 10d"));
	s.laptop = join_client(s.w, token_for(s.w, "--actor jo@acme.example --expires 10d"), "laptop", 'c');
	EXPECT_EVENT(s.laptop, "init");
	s.printer = join_client(s.w, s.printer_token, "printer", 'p');
	EXPECT_EVENT(s.printer, "init");
	snprintf(s.laptop_id, sizeof(s.laptop_id), "%s", admin_value(s.w, "client show laptop", "id"));
	snprintf(s.printer_id, sizeof(s.printer_id), "%s", admin_value(s.w, "client show printer", "id"));
	snprintf(s.ask, sizeof(s.ask), "{'ipv4':'%s'}", admin_value(s.w, "client show printer", "ipv4"));
	if (has_feature)
		EXPECT_EQ(admin(s.w, "account update --client-to-client on"), 0);
	EXPECT_EQ(admin(s.w, "pool add --name Printers"), 0);
	EXPECT_EQ(admin(s.w, "pool join Printers --client printer"), 0);
	snprintf(s.policy, sizeof(s.policy), "%s", admin_value(s.w, "policy add --group Everyone --resource Printers", "id"));
	EXPECT_NOTHING(s.laptop); /* pools are withheld from clients of the pin */
	EXPECT_NOTHING(s.printer);
	return s;
}

static void allow(struct scene *s)
{
	say(s->laptop, "request_device_access", s->ask);
	EXPECT_EVENT(s->printer, "client_device_access_authorized");
	EXPECT_EVENT(s->laptop, "client_device_access_authorized");
}

static void expect_denied(struct fake *f, const char *ipv4, const char *reason)
{
	EXPECT_EVENT(f, "client_device_access_denied");
	EXPECT_STR(heard(f, "ipv4"), ipv4);
	EXPECT_STR(heard(f, "reason"), reason);
}

TEST(both_ends_are_told_with_their_roles_and_the_same_secrets)
{
	struct scene s = scene(true);
	char psk[64], user[16], password[32], fqdn[128];

	allow(&s);
	EXPECT_STR(heard(s.printer, "ice_role"), "controlled");
	EXPECT_STR(heard(s.laptop, "ice_role"), "controlling");
	EXPECT_STR(heard(s.printer, "client_id"), s.laptop_id);
	EXPECT_STR(heard(s.laptop, "client_id"), s.printer_id);
	EXPECT_STR(heard(s.laptop, "client_ipv4"), "100.64.0.2");
	EXPECT_STR(heard(s.laptop, "client_ipv6"), "fd00:2021:1111::2");
	EXPECT_STR(heard(s.printer, "client_ipv4"), "100.64.0.1");
	snprintf(psk, sizeof(psk), "%s", heard(s.laptop, "preshared_key"));
	EXPECT_EQ(strlen(psk), 44);
	EXPECT_STR(heard(s.printer, "preshared_key"), psk);
	snprintf(user, sizeof(user), "%s", heard(s.laptop, "local_ice_credentials.username"));
	snprintf(password, sizeof(password), "%s", heard(s.laptop, "remote_ice_credentials.password"));
	EXPECT_STR(heard(s.printer, "remote_ice_credentials.username"), user);
	EXPECT_STR(heard(s.printer, "local_ice_credentials.password"), password);
	snprintf(fqdn, sizeof(fqdn), "100-64-0-2.%s.fz.internal", admin_value(s.w, "account show acme", "key"));
	EXPECT_STR(heard(s.laptop, "client_fqdns.0"), fqdn);
	say(s.laptop, "request_device_access", s.ask); /* again: the same secrets, so that a connection is kept */
	EXPECT_EVENT(s.laptop, "client_device_access_authorized");
	EXPECT_STR(heard(s.laptop, "preshared_key"), psk);
	EXPECT_EVENT(s.printer, "client_device_access_authorized");
	portal_free(s.w);
}

TEST(off_by_default)
{
	struct scene s = scene(false);

	say(s.laptop, "request_device_access", s.ask);
	expect_denied(s.laptop, "100.64.0.2", "disabled");
	EXPECT_NOTHING(s.printer);
	EXPECT_EQ(admin(s.w, "account update --client-to-client maybe"), 2);
	EXPECT_EQ(admin(s.w, "account update --client-to-client on"), 0);
	allow(&s);
	portal_free(s.w);
}

TEST(refusals_have_their_reasons)
{
	struct scene s = scene(true);

	say(s.laptop, "request_device_access", "{'ipv4':'100.64.0.9'}");
	expect_denied(s.laptop, "100.64.0.9", "forbidden"); /* nobody's */
	say(s.laptop, "request_device_access", "{'ipv4':'100.64.0.1'}");
	expect_denied(s.laptop, "100.64.0.1", "forbidden"); /* its own */
	say(s.printer, "request_device_access", "{'ipv4':'100.64.0.1'}");
	expect_denied(s.printer, "100.64.0.1", "forbidden"); /* in no pool, and service accounts are not in Everyone */
	hang_up(s.printer);
	say(s.laptop, "request_device_access", s.ask);
	expect_denied(s.laptop, "100.64.0.2", "offline");
	EXPECT_EQ(admin(s.w, "pool leave Printers --client printer"), 0);
	say(s.laptop, "request_device_access", s.ask);
	expect_denied(s.laptop, "100.64.0.2", "forbidden");
	portal_free(s.w);
}

TEST(candidates_pass_only_between_clients_that_may_meet)
{
	struct scene s = scene(true);
	char to_printer[200], to_laptop[200];

	snprintf(to_printer, sizeof(to_printer), "{'client_id':'%s','candidates':['candidate:a']}", s.printer_id);
	snprintf(to_laptop, sizeof(to_laptop), "{'client_id':'%s','candidates':['candidate:b']}", s.laptop_id);
	say(s.laptop, "new_client_ice_candidates", to_printer);
	EXPECT_NOTHING(s.printer);
	allow(&s);
	say(s.laptop, "new_client_ice_candidates", to_printer);
	EXPECT_EVENT(s.printer, "client_ice_candidates");
	EXPECT_STR(heard(s.printer, "client_id"), s.laptop_id);
	EXPECT_STR(heard(s.printer, "candidates.0"), "candidate:a");
	say(s.printer, "new_client_ice_candidates", to_laptop);
	EXPECT_EVENT(s.laptop, "client_ice_candidates");
	say(s.laptop, "invalidate_client_ice_candidates", to_printer);
	EXPECT_EVENT(s.printer, "invalidate_client_ice_candidates");
	portal_free(s.w);
}

TEST(a_member_that_leaves_ends_the_access_at_both_ends)
{
	struct scene s = scene(true);

	allow(&s);
	EXPECT_EQ(admin(s.w, "pool add --name 'Other printers'"), 0);
	EXPECT_EQ(admin(s.w, "pool join 'Other printers' --client printer"), 0);
	EXPECT_EQ(admin(s.w, "policy add --group Everyone --resource 'Other printers'"), 0);
	EXPECT_EQ(admin(s.w, "pool leave Printers --client printer"), 0);
	EXPECT_NOTHING(s.laptop); /* the other pool still allows it */
	EXPECT_EQ(admin(s.w, "resource delete 'Other printers'"), 0);
	expect_denied(s.laptop, "100.64.0.2", "forbidden");
	expect_denied(s.printer, "100.64.0.1", "forbidden");
	EXPECT_NOTHING(s.laptop);
	portal_free(s.w);
}

TEST(whatever_takes_the_permission_away_ends_the_access)
{
	struct scene s = scene(true);

	allow(&s);
	EXPECT_EQ(admin(s.w, "account update --client-to-client off"), 0);
	expect_denied(s.laptop, "100.64.0.2", "forbidden");
	expect_denied(s.printer, "100.64.0.1", "forbidden");
	EXPECT_EQ(admin(s.w, "account update --client-to-client on"), 0);
	allow(&s);
	EXPECT_EQ(admin_f(s.w, "policy disable %s", s.policy), 0);
	expect_denied(s.laptop, "100.64.0.2", "forbidden");
	EXPECT_EVENT(s.printer, "client_device_access_denied");
	EXPECT_EQ(admin_f(s.w, "policy enable %s", s.policy), 0);
	allow(&s);
	EXPECT_EQ(admin(s.w, "client delete printer"), 0);
	expect_denied(s.laptop, "100.64.0.2", "forbidden");
	portal_free(s.w);
}

TEST(who_was_away_when_access_ended_hears_of_it_at_the_next_join)
{
	struct scene s = scene(true);

	allow(&s);
	hang_up(s.laptop);
	EXPECT_EQ(admin(s.w, "pool leave Printers --client printer"), 0);
	EXPECT_NOTHING(s.printer); /* judged by who asked, when it is back */
	tick(s.w, SEC(2));
	s.laptop = join_client(s.w, token_for(s.w, "--actor jo@acme.example --expires 10d"), "laptop", 'c');
	EXPECT_EVENT(s.laptop, "init");
	expect_denied(s.laptop, "100.64.0.2", "forbidden");
	expect_denied(s.printer, "100.64.0.1", "forbidden");
	portal_free(s.w);
}

TEST(pools_are_made_filled_and_shown)
{
	struct portal_world *w = portal_new();

	EXPECT_EQ(admin(w, "pool add --name P"), 0);
	EXPECT(strstr(w->reply.out, "static_device_pool") != NULL);
	EXPECT_EQ(admin(w, "pool join P --client nobody"), 1);
	EXPECT_EQ(admin(w, "pool join Nothing --client nobody"), 1);
	EXPECT_EQ(admin(w, "pool members Internet"), 2);
	struct fake *c = join_client(w, token_for(w, "--actor jo@acme.example"), "laptop", 'c');
	EXPECT_EVENT(c, "init");
	EXPECT_EQ(admin(w, "pool join P --client laptop"), 0);
	EXPECT_EQ(admin(w, "pool join P --client laptop"), 1);
	EXPECT_EQ(admin(w, "pool members P"), 0);
	EXPECT(strstr(w->reply.out, "laptop") != NULL);
	EXPECT_EQ(admin(w, "pool leave P --client laptop"), 0);
	EXPECT_EQ(admin(w, "pool leave P --client laptop"), 1);
	EXPECT_EQ(admin(w, "resource update P --address 10.0.0.0/8"), 1);
	EXPECT_EQ(admin(w, "resource add --site Berlin --address 10.0.0.0/8 --type static_device_pool"), 2);
	EXPECT_EQ(admin(w, "resource delete P"), 0);
	portal_free(w);
}

/* ---- clients that know pools (spec 10 §14) --------------------------------------------------------------------------------------------- */

static struct fake *join_as(struct portal_world *w, enum msg_version v, const char *token, const char *id, const char *user_agent)
{
	struct connect c = { .role = MSG_ROLE_CLIENT, .version = v, .token = token, .external_id = id, .key = id[0], .user_agent = user_agent };
	struct fake *f = connect_as(w, &c);

	join(f, "null");
	EXPECT_EVENT(f, "phx_reply");
	EXPECT_EVENT(f, "init");
	return f;
}

struct pair {
	struct portal_world *w;
	struct fake *laptop, *printer;
	char laptop_id[40], printer_id[40], pool[40], policy[40], laptop_token[300], printer_token[300], ask[200], ask6[200];
};

#define TODAY "Ubuntu/24.4.0 headless-client/1.5.11 (x86_64)"

/* Jo's laptop and a printer in a pool, both of today. */
static struct pair pair(void)
{
	struct pair s = { .w = portal_new() };

	EXPECT_EQ(admin(s.w, "account update --client-to-client on"), 0);
	EXPECT_EQ(admin(s.w, "actor add --type service-account --name print"), 0);
	snprintf(s.laptop_token, sizeof(s.laptop_token), "%s", token_for(s.w, "--actor jo@acme.example --expires 10d"));
	snprintf(s.printer_token, sizeof(s.printer_token), "%s", token_for(s.w, "--actor print --expires 10d"));
	s.laptop = join_as(s.w, MSG_V2, s.laptop_token, "laptop", TODAY);
	s.printer = join_as(s.w, MSG_V2, s.printer_token, "printer", TODAY);
	snprintf(s.laptop_id, sizeof(s.laptop_id), "%s", admin_value(s.w, "client show laptop", "id"));
	snprintf(s.printer_id, sizeof(s.printer_id), "%s", admin_value(s.w, "client show printer", "id"));
	snprintf(s.pool, sizeof(s.pool), "%s", admin_value(s.w, "pool add --name Printers", "id"));
	EXPECT_EQ(admin(s.w, "pool join Printers --client printer"), 0);
	snprintf(s.policy, sizeof(s.policy), "%s", admin_value(s.w, "policy add --group Everyone --resource Printers", "id"));
	snprintf(s.ask, sizeof(s.ask), "{'resource_id':'%s','connected_gateway_ids':[],'ipv4':'100.64.0.2'}", s.pool);
	snprintf(s.ask6, sizeof(s.ask6), "{'resource_id':'%s','ipv6':'fd00:2021:1111::2'}", s.pool);
	EXPECT_EVENT(s.laptop, "resource_created_or_updated");
	EXPECT_STR(heard(s.laptop, "type"), "static_device_pool");
	return s;
}

static void meet(struct pair *s)
{
	say(s->laptop, "request_authorization", s->ask);
	EXPECT_EVENT(s->printer, "client_device_access_authorized");
	EXPECT_EVENT(s->laptop, "client_device_access_authorized");
}

TEST(pools_are_shown_with_their_devices_to_clients_of_today)
{
	struct pair s = pair();

	EXPECT_STR(heard(s.laptop, "devices.0.client_id"), s.printer_id);
	EXPECT_STR(heard(s.laptop, "devices.0.ipv4"), "100.64.0.2/32");
	EXPECT_STR(heard(s.laptop, "devices.0.ipv6"), "fd00:2021:1111::2/128");
	EXPECT_STR(heard(s.laptop, "filters"), "0");
	EXPECT_NOTHING(s.printer); /* service accounts are not in Everyone */
	EXPECT_EQ(admin(s.w, "pool join Printers --client laptop"), 0);
	EXPECT_EVENT(s.laptop, "resource_created_or_updated");
	EXPECT_STR(heard(s.laptop, "devices"), "2");
	hang_up(s.printer); /* a device that is away is in it still */
	EXPECT_EQ(admin(s.w, "pool leave Printers --client laptop"), 0);
	EXPECT_EVENT(s.laptop, "resource_created_or_updated");
	EXPECT_STR(heard(s.laptop, "devices"), "1");
	EXPECT_STR(heard(s.laptop, "devices.0.ipv4"), "100.64.0.2/32");
	EXPECT_EQ(admin(s.w, "account update --client-to-client off"), 0);
	EXPECT_EVENT(s.laptop, "resource_deleted");
	portal_free(s.w);
}

TEST(a_device_of_a_pool_is_asked_for_by_its_address)
{
	struct pair s = pair();
	char psk[64];

	meet(&s);
	EXPECT_STR(heard(s.laptop, "client_id"), s.printer_id);
	EXPECT_STR(heard(s.laptop, "client_name"), admin_value(s.w, "client show printer", "name"));
	EXPECT_STR(heard(s.laptop, "ice_role"), "controlling");
	EXPECT_STR(heard(s.laptop, "use_iceless"), "false");
	EXPECT(strlen(heard(s.laptop, "flow_logs_ingest_token")) > 100);
	EXPECT_STR(heard(s.laptop, "resource.id"), "");
	EXPECT_STR(heard(s.printer, "ice_role"), "controlled");
	EXPECT_STR(heard(s.printer, "client_id"), s.laptop_id);
	EXPECT_STR(heard(s.printer, "resource.id"), s.pool);
	EXPECT_STR(heard(s.printer, "resource.filters"), "0");
	EXPECT_STR(heard(s.printer, "expires_at"), "1800864000");
	EXPECT(strlen(heard(s.printer, "flow_logs_ingest_token")) > 100);
	snprintf(psk, sizeof(psk), "%s", heard(s.laptop, "preshared_key"));
	EXPECT_STR(heard(s.printer, "preshared_key"), psk);
	say(s.laptop, "request_authorization", s.ask6); /* by the other address: the same device, the same secrets */
	EXPECT_EVENT(s.printer, "client_device_access_authorized");
	EXPECT_EVENT(s.laptop, "client_device_access_authorized");
	EXPECT_STR(heard(s.laptop, "preshared_key"), psk);
	say(s.laptop, "request_device_access", "{'ipv4':'100.64.0.2'}"); /* as of old: nobody listens */
	EXPECT_NOTHING(s.laptop);
	EXPECT_NOTHING(s.printer);
	portal_free(s.w);
}

static void expect_refusal(struct pair *s, const char *target, const char *reason)
{
	char payload[300];

	snprintf(payload, sizeof(payload), "{'resource_id':'%s'%s%s}", s->pool, target[0] ? "," : "", target);
	say(s->laptop, "request_authorization", payload);
	EXPECT_EVENT(s->laptop, "client_device_access_denied");
	EXPECT_STR(heard(s->laptop, "reason"), reason);
}

TEST(devices_of_pools_are_refused_with_their_reasons)
{
	struct pair s = pair();

	expect_refusal(&s, "", "missing_address");
	expect_refusal(&s, "'ipv4':'100.64.0.2','ipv6':'fd00:2021:1111::2'", "ambiguous_address");
	expect_refusal(&s, "'ipv4':'100.64.0.9'", "forbidden");
	EXPECT_STR(heard(s.laptop, "ipv4"), "100.64.0.9");
	expect_refusal(&s, "'ipv6':'fd00:2021:1111::9'", "forbidden");
	EXPECT_STR(heard(s.laptop, "ipv6"), "fd00:2021:1111::9");
	EXPECT_STR(heard(s.laptop, "ipv4"), "");
	say(s.printer, "request_authorization", s.ask); /* was not told of the pool */
	EXPECT_EVENT(s.printer, "authorization_creation_failed");
	EXPECT_STR(heard(s.printer, "reason"), "not_found");
	hang_up(s.printer);
	expect_refusal(&s, "'ipv4':'100.64.0.2'", "offline");
	EXPECT_STR(heard(s.laptop, "client_id"), s.printer_id);
	s.printer = join_as(s.w, MSG_V1, s.printer_token, "printer", "Debian/12.0.0 headless-client/1.6.0");
	expect_refusal(&s, "'ipv4':'100.64.0.2'", "version_mismatch");
	portal_free(s.w);
}

TEST(what_no_longer_holds_is_rejected_at_the_target)
{
	struct pair s = pair();

	meet(&s);
	EXPECT_EQ(admin(s.w, "pool leave Printers --client printer"), 0);
	EXPECT_EVENT(s.laptop, "resource_created_or_updated");
	EXPECT_EVENT(s.printer, "reject_access");
	EXPECT_STR(heard(s.printer, "client_id"), s.laptop_id);
	EXPECT_STR(heard(s.printer, "resource_id"), s.pool);
	EXPECT_EVENT(s.laptop, "client_device_access_denied");
	EXPECT_STR(heard(s.laptop, "ipv6"), "fd00:2021:1111::2");
	EXPECT_EQ(admin(s.w, "pool join Printers --client printer"), 0);
	EXPECT_EVENT(s.laptop, "resource_created_or_updated");
	meet(&s);
	hang_up(s.printer); /* it comes back and hears who may still come in */
	s.printer = join_as(s.w, MSG_V2, s.printer_token, "printer", TODAY);
	EXPECT_STR(heard(s.printer, "authorizations.0.client_id"), s.laptop_id);
	EXPECT_STR(heard(s.printer, "authorizations.0.resource_id"), s.pool);
	EXPECT_STR(heard(s.printer, "authorizations.0.expires_at"), "1800864000");
	EXPECT_EQ(admin_f(s.w, "policy delete %s", s.policy), 0);
	EXPECT_EVENT(s.laptop, "resource_deleted");
	EXPECT_EVENT(s.printer, "reject_access");
	hang_up(s.printer);
	s.printer = join_as(s.w, MSG_V2, s.printer_token, "printer", TODAY);
	EXPECT_STR(heard(s.printer, "authorizations"), "0");
	portal_free(s.w);
}

TEST(clients_of_the_pin_and_of_today_reach_each_other)
{
	struct pair s = pair();

	hang_up(s.printer);
	s.printer = join_as(s.w, MSG_V1, s.printer_token, "printer", "Debian/12.0.0 headless-client/1.5.8");
	meet(&s);
	EXPECT_STR(heard(s.printer, "resource.id"), "");
	EXPECT_STR(heard(s.printer, "flow_logs_ingest_token"), "");
	EXPECT_EQ(admin(s.w, "pool leave Printers --client printer"), 0);
	EXPECT_EVENT(s.printer, "client_device_access_denied");
	EXPECT_STR(heard(s.printer, "ipv4"), "100.64.0.1");
	portal_free(s.w);

	s = pair();
	hang_up(s.laptop);
	s.laptop = join_as(s.w, MSG_V1, s.laptop_token, "laptop", "Debian/12.0.0 headless-client/1.5.8");
	EXPECT_STR(heard(s.laptop, "resources"), "0");
	say(s.laptop, "request_device_access", "{'ipv4':'100.64.0.2'}");
	EXPECT_EVENT(s.printer, "client_device_access_authorized");
	EXPECT_STR(heard(s.printer, "resource.id"), s.pool);
	EXPECT_EVENT(s.laptop, "client_device_access_authorized");
	EXPECT_EQ(admin_f(s.w, "policy disable %s", s.policy), 0);
	EXPECT_EVENT(s.printer, "reject_access");
	EXPECT_EVENT(s.laptop, "client_device_access_denied");
	portal_free(s.w);
}

/* headless-client 1.5.9 and 1.5.10: pools, by the names of v1. */
TEST(clients_between_the_two_know_pools_by_the_old_names)
{
	struct pair s = pair();

	hang_up(s.laptop);
	hang_up(s.printer);
	s.printer = join_as(s.w, MSG_V1, s.printer_token, "printer", "Debian/12.0.0 headless-client/1.5.10");
	s.laptop = join_as(s.w, MSG_V1, s.laptop_token, "laptop", "Debian/12.0.0 headless-client/1.5.9");
	EXPECT_STR(heard(s.laptop, "resources.0.devices.0.ipv4"), "100.64.0.2/32");
	say(s.laptop, "create_flow", s.ask);
	EXPECT_EVENT(s.printer, "client_device_access_authorized");
	EXPECT_STR(heard(s.printer, "resource.id"), s.pool);
	EXPECT_STR(heard(s.printer, "authorization_expires_at"), "1800864000");
	EXPECT_STR(heard(s.printer, "flow_logs_ingest_token"), "");
	EXPECT_EVENT(s.laptop, "client_device_access_authorized");
	EXPECT_EQ(admin(s.w, "pool leave Printers --client printer"), 0);
	EXPECT_EVENT(s.printer, "reject_access");
	portal_free(s.w);
}
