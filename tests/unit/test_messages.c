/* Portal messages: what real programs said is understood, both ends agree, and faults cost what the spec allows them to cost. */
#include "core/phoenix/messages.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct msg_wire to_client = { MSG_ROLE_CLIENT, MSG_TO_PEER, MSG_V1 };
static const struct msg_wire to_gateway = { MSG_ROLE_GATEWAY, MSG_TO_PEER, MSG_V1 };
static const struct msg_wire from_client = { MSG_ROLE_CLIENT, MSG_TO_PORTAL, MSG_V1 };
static const struct msg_wire from_gateway = { MSG_ROLE_GATEWAY, MSG_TO_PORTAL, MSG_V1 };

static struct json_get why;

static int decode(struct msg_wire w, const char *event, const char *payload, struct portal_message *m)
{
	struct cJSON *root;

	if (json_parse(SPAN(payload, strlen(payload)), NULL, &root)) {
		test_fail(__FILE__, __LINE__, "the test's own JSON is broken: %s", payload);
		return ERR_INTERNAL;
	}
	int rc = msg_decode(w, event, root, m, &why);
	json_free(root);
	return rc;
}

/* encode(m) as text, to be freed. */
static char *encode(struct msg_wire w, const struct portal_message *m)
{
	struct json_out o = JSON_OUT;
	int rc = msg_encode(w, m, &o, NULL);

	if (rc)
		test_fail(__FILE__, __LINE__, "cannot encode %s: %d", msg_type_name(m->type), rc);
	char *text = rc ? strdup("") : strndup(o.buf, o.len);
	json_out_free(&o);
	return text;
}

/* x → text → x' → text' must give text again; returns x' for inspection. */
static void there_and_back(struct msg_wire w, const struct portal_message *m, struct portal_message *back)
{
	char *text = encode(w, m);

	if (decode(w, msg_event(w, m->type), text, back)) {
		test_fail(__FILE__, __LINE__, "%s does not decode (%s): %s", msg_type_name(m->type), why.why, text);
		memset(back, 0, sizeof(*back));
	} else {
		char *again = encode(w, back);
		EXPECT_STR(again, text);
		free(again);
	}
	free(text);
}

static void round_trip(struct msg_wire w, const struct portal_message *m)
{
	struct portal_message back;

	there_and_back(w, m, &back);
	EXPECT_EQ(back.type, m->type);
	msg_free(&back);
}

static const struct uuid id1 = { { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16 } };
static const struct uuid id2 = { { 0xff } };
static const struct msg_ice ice1 = { "w7up", "ksqwm66pilnb7skdwwfw3r" }, ice2 = { "kwe6", "mzkrj52x5h5ebrfdsh5iyq" };
static const struct msg_site site = { { { 7 } }, "m\"ain" };
static const struct msg_filter filters[] = { { MSG_TCP, 22, 22 }, { MSG_UDP, 0, 65535 }, { MSG_ICMP, 0, 0 } };
static const char *const candidates[] = { "candidate:1 1 udp 2130706431 10.0.0.1 5 typ host ufrag w7up", "x" };

static struct msg_resource resource(enum msg_resource_type type)
{
	struct msg_resource r = { .type = type, .id = id1, .name = "n", .address = "*.example.org", .sites = &site, .n_sites = 1, .filters = filters,
				  .n_filters = ARRAY_LEN(filters), .ip_stack = MSG_STACK_IPV6_ONLY, .address_description = "d" };

	r.net = (struct cidr){ ip4(10, 9, 0, 0), 16 };
	return r;
}

static struct msg_interface interface(void)
{
	static const struct ip do53[] = { { { 1, 1, 1, 1 }, 4 }, { { 0x20, 1 }, 6 } };
	static const char *const doh[] = { "https://dns.example/dns-query" };

	return (struct msg_interface){ .ipv4 = ip4(100, 64, 0, 2), .ipv6 = { { 0xfd, 0, 0x20, 0x21 }, 6 }, .search_domain = "corp.example",
				       .upstream_do53 = do53, .n_upstream_do53 = 2, .upstream_doh = doh, .n_upstream_doh = 1 };
}

static struct msg_relay relay(void)
{
	return (struct msg_relay){ .id = id2, .v4 = { ip4(203, 0, 113, 7), 3478 }, .v6 = { { { 0x20, 1 }, 6 }, 3478 }, .username = "1:u", .password = "p",
				   .expires_at = 2145916800 };
}

TEST(every_message_survives_encoding_and_decoding_on_each_wire)
{
	struct msg_resource rs[5];
	struct msg_relay relays[1] = { relay() };
	struct msg_access access[2] = { { id1, id2, 5 }, { id2, id1, 1900000000 } };
	struct uuid ids[2] = { id1, id2 };
	struct msg_connection connections[2] = { { .client_id = id1, .path = MSG_PATH_DIRECT, .has_rtt = true, .rtt_ms = 12, .rx_bytes = 7 << 20, .tx_bytes = 1 },
						 { .client_id = id2, .path = MSG_PATH_GONE } };
	struct msg_device devices[1] = { { id2, ip4(100, 64, 0, 9), { { 0xfd }, 6 } } };
	u8 key[32];

	memset(key, 0x5a, sizeof(key));
	for (size_t i = 0; i < 5; i++)
		rs[i] = resource((enum msg_resource_type)i);
	for (enum msg_version v = MSG_V1; v <= MSG_V2; v++) {
		const char *token = v == MSG_V2 ? "a.b.c" : NULL;
		struct msg_flow_logs logs = { "https://api.example", 0, 100 };
		struct msg_wire client = { MSG_ROLE_CLIENT, MSG_TO_PEER, v }, gateway = { MSG_ROLE_GATEWAY, MSG_TO_PEER, v };
		struct msg_wire client_out = { MSG_ROLE_CLIENT, MSG_TO_PORTAL, v }, gateway_out = { MSG_ROLE_GATEWAY, MSG_TO_PORTAL, v };
		struct portal_message m = { .type = MSG_INIT_CLIENT };

		m.init_client = (struct msg_init_client){ .interface = interface(), .resources = rs, .n_resources = 5, .relays = { relays, 1 },
							 .authorizations = access, .n_authorizations = 2, .flow_logs = logs };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_INIT_GATEWAY };
		m.init_gateway = (struct msg_init_gateway){ .interface = interface(), .ipv4_masquerade_enabled = true, .relays = { relays, 1 }, .account_slug = "acme",
							     .authorizations = access, .n_authorizations = 2, .flow_logs = logs };
		round_trip(gateway, &m);
		m.init_gateway.report_interval_secs = 60;
		round_trip(gateway, &m);
		m = (struct portal_message){ .type = MSG_INIT_RELAY };
		round_trip((struct msg_wire){ MSG_ROLE_RELAY, MSG_TO_PEER, v }, &m);
		m = (struct portal_message){ .type = MSG_CONFIG_CHANGED, .config_changed = interface() };
		round_trip(client, &m);
		rs[3].devices = devices;
		rs[3].n_devices = 1;
		for (size_t i = 0; i < 5; i++) {
			m = (struct portal_message){ .type = MSG_RESOURCE_CREATED_OR_UPDATED, .resource = rs[i] };
			round_trip(client, &m);
		}
		for (size_t i = 0; i < 3; i++) {
			m = (struct portal_message){ .type = MSG_RESOURCE_UPDATED, .resource = rs[i] };
			round_trip(gateway, &m);
		}
		m = (struct portal_message){ .type = MSG_RESOURCE_DELETED, .id = id1 };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_RELAYS_PRESENCE, .relays_presence = { { ids, 2 }, { relays, 1 } } };
		round_trip(client, &m);
		round_trip(gateway, &m);
		m = (struct portal_message){ .type = MSG_FLOW_CREATED };
		m.flow_created = (struct msg_flow_created){ .resource_id = id1, .gateway_id = id2, .site_id = id1, .gateway_ipv4 = ip4(100, 64, 0, 1),
							     .gateway_ipv6 = { { 0xfd }, 6 }, .client_ice = ice1, .gateway_ice = ice2, .flow_logs_ingest_token = token };
		memcpy(m.flow_created.preshared_key, key, 32);
		round_trip(client, &m);
		for (enum msg_reason r = MSG_REASON_UNKNOWN; r <= MSG_REASON_INVALID_ADDRESS; r++) {
			m = (struct portal_message){ .type = MSG_FLOW_CREATION_FAILED };
			m.flow_creation_failed = (struct msg_flow_creation_failed){ .resource_id = id1, .reason = r, .violated_properties = candidates, .n_violated_properties = 1 };
			round_trip(client, &m);
		}
		m = (struct portal_message){ .type = MSG_CLIENT_ICE_CANDIDATE_ERROR, .candidate_error = { id1, MSG_REASON_OFFLINE } };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_CLIENT_DEVICE_ACCESS_AUTHORIZED };
		m.device_access_authorized = (struct msg_device_access_authorized){ .client_id = id1, .client_ipv4 = ip4(100, 64, 0, 9), .client_ipv6 = { { 0xfd }, 6 },
			.local_ice = ice1, .remote_ice = ice2, .is_controlling = true, .client_name = "c", .client_fqdns = candidates, .n_client_fqdns = 2, .flow_logs_ingest_token = token };
		round_trip(client, &m);
		m.device_access_authorized.has_resource = true;
		m.device_access_authorized.resource = rs[3];
		m.device_access_authorized.expires_at = 1900000000;
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_RESOURCE_FILTERS_UPDATED, .resource = rs[3] };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_REJECT_ACCESS, .access = access[0] };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_CLIENT_DEVICE_ACCESS_DENIED, .device_access_denied = { .ipv4 = ip4(100, 64, 0, 9), .reason = MSG_REASON_DISABLED } };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_CLIENT_DEVICE_ACCESS_DENIED, .device_access_denied = { .ipv6 = { { 0xfd }, 6 }, .reason = MSG_REASON_OFFLINE } };
		round_trip(client, &m);
		m = (struct portal_message){ .type = MSG_AUTHORIZE_FLOW };
		m.authorize_flow = (struct msg_authorize_flow){ .ref = "SFMyNTY.x.y", .resource = rs[1], .client_ice = ice1, .gateway_ice = ice2, .expires_at = MSG_NEVER_EXPIRES,
								  .flow_logs_ingest_token = token };
		m.authorize_flow.client.id = id2;
		m.authorize_flow.client.ipv4 = ip4(100, 64, 0, 2);
		m.authorize_flow.client.ipv6 = (struct ip){ { 0xfd }, 6 };
		m.authorize_flow.client.version = "1.5.8";
		m.authorize_flow.subject.actor_email = "a@example.org";
		round_trip(gateway, &m);
		m.authorize_flow.expires_at = 1900000000;
		round_trip(gateway, &m);
		m = (struct portal_message){ .type = MSG_REJECT_ACCESS, .access = access[0] };
		round_trip(gateway, &m);
		m = (struct portal_message){ .type = MSG_ACCESS_AUTHORIZATION_EXPIRY_UPDATED, .access = access[1] };
		round_trip(gateway, &m);
		m = (struct portal_message){ .type = MSG_CREATE_FLOW, .create_flow = { .resource_id = id1, .connected_gateways = { ids, 2 } } };
		round_trip(client_out, &m);
		m.create_flow.ipv4 = ip4(100, 64, 0, 3);
		round_trip(client_out, &m);
		m = (struct portal_message){ .type = MSG_REQUEST_DEVICE_ACCESS, .ipv4 = ip4(100, 64, 0, 9) };
		round_trip(client_out, &m);
		m = (struct portal_message){ .type = MSG_NO_RELAYS };
		round_trip(client_out, &m);
		round_trip(gateway_out, &m);
		for (enum msg_type t = MSG_BROADCAST_ICE_CANDIDATES; t <= MSG_BROADCAST_INVALIDATED_ICE_CANDIDATES; t++) {
			m = (struct portal_message){ .type = t, .broadcast = { { ids, 1 }, { candidates, 2 } } };
			round_trip(gateway_out, &m);
			round_trip(client_out, &m);
		}
		m = (struct portal_message){ .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { "OLdAzs" } };
		round_trip(gateway_out, &m);
		m.candidates = (struct msg_ice_candidates){ id1, { candidates, 2 } };
		m.type = MSG_CLIENT_ICE_CANDIDATES;
		round_trip(gateway, &m);
		round_trip(client, &m);
		m.type = MSG_CLIENT_ICE_INVALIDATED;
		round_trip(gateway, &m);
		round_trip(client, &m);
		m.type = MSG_GATEWAY_ICE_CANDIDATES;
		round_trip(client, &m);
		m.type = MSG_GATEWAY_ICE_INVALIDATED;
		round_trip(client, &m);
		for (enum msg_type t = MSG_NEW_GATEWAY_ICE_CANDIDATES; t <= MSG_INVALIDATE_CLIENT_ICE_CANDIDATES; t++) {
			m.type = t;
			round_trip(client_out, &m);
		}
		m = (struct portal_message){ .type = MSG_CONNECTIONS_REPORT, .connections_report = { connections, 2 } };
		round_trip(gateway_out, &m);
		if (v == MSG_V2) {
			m = (struct portal_message){ .type = MSG_SET_SNOWNET_CAPABILITIES, .capabilities = { true } };
			round_trip(client_out, &m);
			round_trip(gateway_out, &m);
		}
	}
}

TEST(decoded_values_are_those_that_were_encoded)
{
	struct msg_relay relays[1] = { relay() };
	struct msg_resource rs[1] = { resource(MSG_RESOURCE_CIDR) };
	struct portal_message m = { .type = MSG_INIT_CLIENT }, back;

	m.init_client = (struct msg_init_client){ .interface = interface(), .resources = rs, .n_resources = 1, .relays = { relays, 1 } };
	there_and_back(to_client, &m, &back);
	const struct msg_init_client *i = &back.init_client;
	REQUIRE(i->n_resources == 1 && i->relays.n == 1 && i->interface.n_upstream_do53 == 2 && i->interface.n_upstream_doh == 1);
	EXPECT(ip_eq(&i->interface.ipv4, &m.init_client.interface.ipv4));
	EXPECT(ip_eq(&i->interface.upstream_do53[1], &m.init_client.interface.upstream_do53[1]));
	EXPECT_STR(i->interface.search_domain, "corp.example");
	EXPECT(endpoint_eq(&i->relays.relay[0].v4, &relays[0].v4));
	EXPECT(endpoint_eq(&i->relays.relay[0].v6, &relays[0].v6));
	EXPECT_EQ(i->relays.relay[0].expires_at, 2145916800);
	const struct msg_resource *r = i->resources;
	EXPECT_EQ(r->type, MSG_RESOURCE_CIDR);
	EXPECT_EQ(r->net.len, 16);
	EXPECT_STR(r->address, "10.9.0.0/16");
	EXPECT_STR(r->address_description, "d");
	REQUIRE(r->n_sites == 1 && r->n_filters == 3);
	EXPECT_STR(r->sites[0].name, "m\"ain");
	EXPECT_EQ(r->filters[0].port_start, 22);
	EXPECT_EQ(r->filters[1].port_end, 65535);
	EXPECT_EQ(r->filters[2].protocol, MSG_ICMP);
	msg_free(&back);
}

/* --- what the live programs said ------------------------------------------------------------------------------------------------------ */

static enum msg_role role_of(const char *name)
{
	return strcmp(name, "client") == 0 ? MSG_ROLE_CLIENT : strcmp(name, "gateway") == 0 ? MSG_ROLE_GATEWAY : MSG_ROLE_RELAY;
}

/* Are the members of a all in b with equal values? Arrays element by element. */
static bool is_within(const struct cJSON *a, const struct cJSON *b, char *where, size_t cap)
{
	struct json_out oa = JSON_OUT, ob = JSON_OUT;
	bool same;

	if (json_is_object(a)) {
		json_each(m, a) {
			struct json_get g = JSON_GET;
			const struct cJSON *other = json_is_object(b) ? json_member(&g, b, json_key(m)) : NULL;
			if (!other || !is_within(m, other, where, cap)) {
				if (!where[0])
					snprintf(where, cap, "%s", json_key(m));
				return false;
			}
		}
		return true;
	}
	if (json_is_array(a) && json_is_array(b) && json_count(a) == json_count(b)) {
		const struct cJSON *other = json_first(b);
		json_each(e, a) {
			if (!is_within(e, other, where, cap))
				return false;
			other = json_next(other);
		}
		return true;
	}
	json_put_tree(&oa, NULL, a);
	json_put_tree(&ob, NULL, b);
	same = oa.len == ob.len && memcmp(oa.buf, ob.buf, oa.len) == 0;
	json_out_free(&oa);
	json_out_free(&ob);
	return same;
}

static void replay(const char *path, size_t *n_decoded)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (!EXPECT(f != NULL))
		return;
	while ((len = getline(&line, &cap, f)) > 0) {
		struct cJSON *root = NULL;
		struct json_get g = JSON_GET;
		if (!EXPECT_EQ(json_parse(SPAN(line, (size_t)len), NULL, &root), 0))
			continue;
		if (strcmp(json_str(&g, root, "ev"), "frame") == 0) {
			const struct cJSON *frame = json_object(&g, root, "frame");
			const char *event = json_str(&g, frame, "event");
			const struct cJSON *payload = json_member(&g, frame, "payload");
			struct msg_wire w = { role_of(json_str(&g, root, "role")), strcmp(json_str(&g, root, "dir"), "in") == 0 ? MSG_TO_PORTAL : MSG_TO_PEER, MSG_V1 };
			struct portal_message m;
			if (strncmp(event, "phx_", 4) != 0 && strcmp(event, "heartbeat") != 0) {
				int rc = msg_decode(w, event, payload, &m, &why);
				if (rc) {
					test_fail(__FILE__, __LINE__, "%s: %s: %s", path, event, why.why);
				} else {
					char *text = encode(w, &m);
					char where[64] = "";
					struct cJSON *back = NULL;
					EXPECT_EQ(json_parse(SPAN(text, strlen(text)), NULL, &back), 0);
					if (!is_within(payload, back, where, sizeof(where)))
						test_fail(__FILE__, __LINE__, "%s: %s differs at %s: %s", path, event, where, text);
					EXPECT_STR(msg_event(w, m.type), event);
					json_free(back);
					free(text);
					msg_free(&m);
					(*n_decoded)++;
				}
			}
		}
		EXPECT_EQ(g.err, 0);
		json_free(root);
	}
	free(line);
	fclose(f);
}

TEST(spec10_golden_traffic_decodes_and_encodes_to_the_same)
{
	size_t n = 0;

	replay("tests/golden/direct.jsonl", &n);
	replay("tests/golden/relayed.jsonl", &n);
	EXPECT(n >= 40);
}

/* --- tolerance ---------------------------------------------------------------------------------------------------------------------------- */

#define IFACE "\"interface\":{\"ipv4\":\"100.64.0.2\",\"ipv6\":\"fd00:2021:1111::2\"}"
#define UUID1 "\"00000000-0000-4000-8000-000000000001\""
#define UUID2 "\"00000000-0000-4000-8000-000000000002\""
#define SITES "\"sites\":[{\"id\":" UUID1 ",\"name\":\"s\"}]"
#define GROUPS "\"gateway_groups\":[{\"id\":" UUID1 ",\"name\":\"s\"}]"
#define CIDR_BODY "\"id\":" UUID1 ",\"type\":\"cidr\",\"name\":\"n\",\"address\":\"10.0.0.0/8\""
#define KEY "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\""

static int client_resource(const char *json)
{
	struct portal_message m;
	int rc = decode(to_client, "resource_created_or_updated", json, &m);

	if (rc == 0)
		msg_free(&m);
	return rc;
}

TEST(spec10_23_unknown_events_types_and_members_are_ignored)
{
	struct portal_message m;

	EXPECT_EQ(decode(to_client, "new_thing", "{}", &m), ERR_NOT_FOUND);
	EXPECT_EQ(decode(to_client, "authorize_flow", "{}", &m), ERR_NOT_FOUND); /* a gateway's */
	EXPECT_EQ(decode(to_client, "authorization_created", "{}", &m), ERR_NOT_FOUND); /* v2's */
	EXPECT_EQ(client_resource("{\"type\":\"teapot\"}"), ERR_NOT_FOUND);
	EXPECT_EQ(client_resource("{" CIDR_BODY "," SITES ",\"new\":{\"x\":[1]}}"), 0);
}

TEST(spec30_04_spec30_05_spec10_3_5_a_bad_resource_costs_only_itself_in_init)
{
	struct portal_message m;

	REQUIRE(decode(to_client, "init", "{" IFACE ",\"resources\":["
		       "{\"type\":\"teapot\"},"
		       "{" CIDR_BODY "," SITES "},"
		       "{" CIDR_BODY "}," /* no sites */
		       "{" CIDR_BODY "," SITES "," GROUPS "}," /* both names */
		       "{" CIDR_BODY "," SITES ",\"filters\":[{\"protocol\":\"sctp\"}]},"
		       "{" CIDR_BODY "," SITES ",\"filters\":null},"
		       "{\"type\":\"dns\",\"id\":" UUID1 ",\"name\":\"n\",\"address\":\"a\"," SITES ",\"ip_stack\":\"ipv5\"},"
		       "{\"type\":\"dns\",\"id\":" UUID2 ",\"name\":\"n\",\"address\":\"a\"," SITES ",\"ip_stack\":null}"
		       "]}", &m) == 0);
	EXPECT_EQ(m.init_client.n_resources, 2);
	EXPECT_EQ(m.init_client.n_skipped, 6);
	EXPECT_EQ(m.init_client.resources[1].ip_stack, MSG_STACK_DUAL);
	msg_free(&m);
	EXPECT_EQ(decode(to_client, "init", "{" IFACE ",\"resources\":[5]}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "{" IFACE ",\"resources\":[{\"id\":1}]}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "{" IFACE ",\"resources\":[{\"type\":1}]}", &m), ERR_MALFORMED);
}

TEST(spec10_3_5_any_other_fault_costs_the_init)
{
	struct portal_message m;

	EXPECT_EQ(decode(to_client, "init", "{\"resources\":[]}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "{\"interface\":{\"ipv4\":\"100.64.0.2\"}}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "{" IFACE ",\"relays\":[{\"type\":\"quic\",\"id\":" UUID1 ",\"addr\":\"1.2.3.4:5\"}]}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "{" IFACE ",\"relays\":null}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "{" IFACE "," IFACE "}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "[]", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "init", "null", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_gateway, "init", "{" IFACE "}", &m), ERR_MALFORMED);
	EXPECT_STR(why.why, "config: is missing");
}

TEST(spec10_41_resource_deleted_is_a_bare_string)
{
	struct portal_message m = { .type = MSG_RESOURCE_DELETED, .id = id2 };
	char *text = encode(to_client, &m);

	EXPECT_STR(text, "\"ff000000-0000-0000-0000-000000000000\"");
	free(text);
	EXPECT_EQ(decode(to_client, "resource_deleted", UUID1, &m), 0);
	EXPECT_EQ(m.id.b[15], 1);
	msg_free(&m);
	EXPECT_EQ(decode(to_client, "resource_deleted", "{\"id\":" UUID1 "}", &m), ERR_MALFORMED);
}

TEST(spec10_42_both_names_of_sites_are_accepted_and_one_is_sent)
{
	struct portal_message m = { .type = MSG_RESOURCE_CREATED_OR_UPDATED, .resource = resource(MSG_RESOURCE_CIDR) };
	char *text = encode(to_client, &m);

	EXPECT(strstr(text, "\"gateway_groups\":") && !strstr(text, "\"sites\":"));
	free(text);
	EXPECT_EQ(client_resource("{" CIDR_BODY "," SITES "}"), 0);
	EXPECT_EQ(client_resource("{" CIDR_BODY "," GROUPS "}"), 0);
	EXPECT_EQ(client_resource("{" CIDR_BODY "," SITES "," GROUPS "}"), ERR_MALFORMED);

	static const char flow[] = "{\"resource_id\":" UUID1 ",\"gateway_id\":" UUID2 ",\"gateway_public_key\":" KEY ",\"preshared_key\":" KEY
				   ",\"gateway_ipv4\":\"100.64.0.1\",\"gateway_ipv6\":\"fd00::1\",\"client_ice_credentials\":{\"username\":\"a\",\"password\":\"b\"},"
				   "\"gateway_ice_credentials\":{\"username\":\"c\",\"password\":\"d\"}%s}";
	static const struct { const char *tail; int rc; } t[] = { { ",\"site_id\":" UUID1, 0 }, { ",\"gateway_group_id\":" UUID1, 0 }, { "", ERR_MALFORMED },
		{ ",\"site_id\":" UUID1 ",\"gateway_group_id\":" UUID1, ERR_MALFORMED } };
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		char json[1000];
		snprintf(json, sizeof(json), flow, t[i].tail);
		EXPECT_EQ(decode(to_client, "flow_created", json, &m), t[i].rc);
		if (t[i].rc == 0) {
			EXPECT_EQ(m.flow_created.site_id.b[15], 1);
			EXPECT_EQ(m.flow_created.preshared_key[31], 31);
			msg_free(&m);
		}
	}
}

TEST(spec10_43_relay_entries_are_sent_adjacent_and_merged_wherever_they_are)
{
#define ENTRY(id, addr) "{\"id\":" id ",\"type\":\"turn\",\"addr\":\"" addr "\",\"username\":\"u\",\"password\":\"p\",\"expires_at\":5}"
	struct portal_message m;

	REQUIRE(decode(to_client, "relays_presence", "{\"disconnected_ids\":[],\"connected\":[" ENTRY(UUID1, "1.2.3.4:3478") ","
		       "{\"id\":" UUID1 ",\"type\":\"stun\",\"addr\":\"9.9.9.9:1\"}," ENTRY(UUID2, "1.2.3.5:3478") "," ENTRY(UUID1, "[::1]:3478") "]}", &m) == 0);
	EXPECT_EQ(m.relays_presence.connected.n, 2);
	EXPECT_EQ(m.relays_presence.connected.relay[0].v4.ip.b[3], 4);
	EXPECT_EQ(m.relays_presence.connected.relay[0].v6.port, 3478);
	EXPECT_EQ(m.relays_presence.connected.relay[1].v6.ip.family, 0);
	char *text = encode(to_client, &m);
	const char *first = strstr(text, "1.2.3.4:3478"), *second = strstr(text, "[::1]:3478"), *other = strstr(text, "1.2.3.5:3478");
	EXPECT(first && second && other && first < second && second < other);
	free(text);
	msg_free(&m);
}

TEST(spec10_44_networks_have_a_prefix_length_and_no_host_bits)
{
	EXPECT_EQ(client_resource("{\"id\":" UUID1 ",\"type\":\"cidr\",\"name\":\"n\",\"address\":\"10.0.0.1\"," SITES "}"), ERR_MALFORMED);
	EXPECT_EQ(client_resource("{\"id\":" UUID1 ",\"type\":\"cidr\",\"name\":\"n\",\"address\":\"10.0.0.1/8\"," SITES "}"), ERR_MALFORMED);
	EXPECT_EQ(client_resource("{\"id\":" UUID1 ",\"type\":\"cidr\",\"name\":\"n\",\"address\":\"10.0.0.1/32\"," SITES "}"), 0);
	EXPECT_EQ(client_resource("{\"id\":" UUID1 ",\"type\":\"cidr\",\"name\":\"n\",\"address\":\"fd00::/64\"," SITES "}"), 0);
}

TEST(spec30_51_spec10_45_upstream_do53_comes_before_upstream_dns)
{
	struct portal_message m;

#define LEGACY "\"upstream_dns\":[{\"protocol\":\"ip_port\",\"address\":\"9.9.9.9:53\"}]"
	REQUIRE(decode(to_client, "config_changed", "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_do53\":[{\"ip\":\"8.8.8.8\"}]," LEGACY "}}", &m) == 0);
	EXPECT_EQ(m.config_changed.n_upstream_do53, 1);
	EXPECT_EQ(m.config_changed.upstream_do53[0].b[0], 8);
	msg_free(&m);
	REQUIRE(decode(to_client, "config_changed", "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_do53\":[]," LEGACY "}}", &m) == 0);
	EXPECT_EQ(m.config_changed.n_upstream_do53, 1);
	EXPECT_EQ(m.config_changed.upstream_do53[0].b[0], 9);
	msg_free(&m);
	EXPECT_EQ(decode(to_client, "config_changed", "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_doh\":[{\"url\":\"http://x/\"}]}}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_client, "config_changed", "{\"interface\":{\"ipv4\":\"1.1.1.1\",\"ipv6\":\"::1\",\"upstream_doh\":[{\"url\":\"https://x/?q\"}]}}", &m), ERR_MALFORMED);
}

TEST(spec10_47_create_flow_carries_both_keys)
{
	struct portal_message m = { .type = MSG_CREATE_FLOW, .create_flow = { .resource_id = id2 } };
	char *text = encode(from_client, &m);

	EXPECT_STR(text, "{\"resource_id\":\"ff000000-0000-0000-0000-000000000000\",\"connected_gateway_ids\":[]}");
	free(text);
	EXPECT_EQ(decode(from_client, "create_flow", "{\"resource_id\":" UUID1 "}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(from_client, "create_flow", "{\"connected_gateway_ids\":[]}", &m), ERR_MALFORMED);
}

TEST(spec10_55_expiry_null_is_never_and_its_absence_is_refused)
{
	static const char flow[] = "{\"ref\":\"r\",\"resource\":{\"type\":\"internet\",\"id\":" UUID1 "},\"client\":{\"id\":" UUID2 ",\"public_key\":" KEY ",\"preshared_key\":" KEY
				   ",\"ipv4\":\"100.64.0.1\",\"ipv6\":\"fd00::1\"},\"client_ice_credentials\":{\"username\":\"a\",\"password\":\"b\"},"
				   "\"gateway_ice_credentials\":{\"username\":\"c\",\"password\":\"d\"}%s}";
	static const struct { const char *tail; int rc; u64 at; } t[] = { { ",\"expires_at\":null", 0, MSG_NEVER_EXPIRES }, { ",\"expires_at\":1900000000", 0, 1900000000 },
		{ "", ERR_MALFORMED, 0 }, { ",\"expires_at\":\"5\"", ERR_MALFORMED, 0 }, { ",\"expires_at\":1.5", ERR_MALFORMED, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct portal_message m;
		char json[1000];
		snprintf(json, sizeof(json), flow, t[i].tail);
		EXPECT_EQ(decode(to_gateway, "authorize_flow", json, &m), t[i].rc);
		if (t[i].rc == 0) {
			EXPECT(m.authorize_flow.expires_at == t[i].at);
			EXPECT(m.authorize_flow.client.version == NULL);
			msg_free(&m);
		}
	}
}

TEST(spec10_6_gateway_resources_must_be_complete)
{
	struct portal_message m;

	EXPECT_EQ(decode(to_gateway, "resource_updated", "{\"type\":\"static_device_pool\",\"id\":" UUID1 ",\"name\":\"n\"}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_gateway, "resource_updated", "{\"type\":\"teapot\",\"id\":" UUID1 "}", &m), ERR_MALFORMED);
	EXPECT_EQ(decode(to_gateway, "resource_updated", "{" CIDR_BODY "}", &m), ERR_MALFORMED); /* no filters */
	EXPECT_EQ(decode(to_gateway, "resource_updated", "{" CIDR_BODY ",\"filters\":[]}", &m), 0);
	msg_free(&m);
}

TEST(spec10_3_5_candidates_that_are_no_strings_are_skipped)
{
	struct portal_message m;

	REQUIRE(decode(to_gateway, "ice_candidates", "{\"client_id\":" UUID1 ",\"candidates\":[\"a\",5,null,\"b\"]}", &m) == 0);
	EXPECT_EQ(m.type, MSG_CLIENT_ICE_CANDIDATES);
	EXPECT_EQ(m.candidates.candidates.n, 2);
	EXPECT_STR(m.candidates.candidates.text[1], "b");
	msg_free(&m);
	REQUIRE(decode(to_client, "gateway_ice_candidates", "{\"gateway_id\":" UUID1 ",\"candidates\":[]}", &m) == 0);
	EXPECT_EQ(m.type, MSG_GATEWAY_ICE_CANDIDATES);
	msg_free(&m);
}

TEST(spec10_7_1_unknown_reasons_are_kept_as_text)
{
	struct portal_message m;

	REQUIRE(decode(to_client, "flow_creation_failed", "{\"resource_id\":" UUID1 ",\"reason\":\"gone_fishing\",\"violated_properties\":[\"auth_provider_id\"]}", &m) == 0);
	EXPECT_EQ(m.flow_creation_failed.reason, MSG_REASON_UNKNOWN);
	EXPECT_STR(m.flow_creation_failed.reason_text, "gone_fishing");
	EXPECT_EQ(m.flow_creation_failed.n_violated_properties, 1);
	msg_free(&m);
}

TEST(second_version_has_other_names_and_needs_its_tokens)
{
	struct msg_wire v2 = { MSG_ROLE_CLIENT, MSG_TO_PEER, MSG_V2 }, v2_out = { MSG_ROLE_GATEWAY, MSG_TO_PORTAL, MSG_V2 };
	struct portal_message m = { .type = MSG_FLOW_CREATED };
	struct json_out o = JSON_OUT;

	EXPECT_STR(msg_event(v2, MSG_FLOW_CREATED), "authorization_created");
	EXPECT_STR(msg_event(v2_out, MSG_FLOW_AUTHORIZED), "authorization_created");
	EXPECT_STR(msg_event((struct msg_wire){ MSG_ROLE_CLIENT, MSG_TO_PORTAL, MSG_V2 }, MSG_CREATE_FLOW), "request_authorization");
	m.flow_created.client_ice = m.flow_created.gateway_ice = ice1;
	m.flow_created.gateway_ipv4 = ip4(1, 2, 3, 4);
	m.flow_created.gateway_ipv6 = (struct ip){ { 1 }, 6 };
	EXPECT_EQ(msg_encode(v2, &m, &o, NULL), ERR_INVAL); /* such a frame would be thrown away */
	json_out_reset(&o);
	m.flow_created.flow_logs_ingest_token = "a.b.c";
	EXPECT_EQ(msg_encode(v2, &m, &o, NULL), 0);
	json_put_raw(&o, NULL, SPAN("", 1));
	EXPECT(strstr(o.buf, "\"site_id\":") && strstr(o.buf, "\"use_iceless\":false"));
	json_out_free(&o);
}

/* We never say that we can do without ICE, so a portal never means it (spec 20 §13.1). */
TEST(spec20_66_use_iceless_is_ignored)
{
	static const char *const variants[] = { "{", "{\"use_iceless\":false,", "{\"use_iceless\":true,", "{\"use_iceless\":null," };
	struct msg_wire to_gateway_v1 = { MSG_ROLE_GATEWAY, MSG_TO_PEER, MSG_V1 };
	struct portal_message sent = { .type = MSG_AUTHORIZE_FLOW };
	struct json_out o = JSON_OUT;

	sent.authorize_flow.ref = "r";
	sent.authorize_flow.resource = (struct msg_resource){ .type = MSG_RESOURCE_INTERNET, .name = "", .address = "" };
	sent.authorize_flow.client.ipv4 = ip4(100, 64, 0, 7);
	sent.authorize_flow.client.ipv6 = (struct ip){ { 0xfd }, 6 };
	sent.authorize_flow.client_ice = sent.authorize_flow.gateway_ice = ice1;
	sent.authorize_flow.expires_at = 7;
	REQUIRE(msg_encode(to_gateway_v1, &sent, &o, NULL) == 0);
	struct span body = json_text(&o);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		struct portal_message m;
		struct cJSON *root;
		char text[2048];

		int n = snprintf(text, sizeof(text), "%s%.*s", variants[i], (int)body.n - 1, (const char *)body.p + 1);
		REQUIRE(json_parse(SPAN(text, n), NULL, &root) == 0);
		REQUIRE(msg_decode(to_gateway_v1, "authorize_flow", root, &m, &why) == 0);
		EXPECT_STR(m.authorize_flow.client_ice.username, ice1.username);
		EXPECT_EQ(m.authorize_flow.expires_at, 7);
		msg_free(&m);
		json_free(root);
	}
	json_out_free(&o);
	EXPECT(msg_event(from_client, MSG_SET_SNOWNET_CAPABILITIES) == NULL);
	EXPECT(msg_event(from_gateway, MSG_SET_SNOWNET_CAPABILITIES) == NULL);
}

/* Our own addition (spec 10 §15). What others do not say, or say wrongly, is not wanted, and never costs the init. */
TEST(spec10_69_reports_are_wanted_only_by_who_says_so_clearly)
{
	static const struct {
		const char *member;
		u32 secs;
	} t[] = {
		{ "", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":60}", 60 },
		{ ",\"emberbox\":{\"report_interval_secs\":5,\"later\":[1]}", 5 },
		{ ",\"emberbox\":{\"report_interval_secs\":3600}", 3600 },
		{ ",\"emberbox\":{}", 0 },
		{ ",\"emberbox\":null", 0 },
		{ ",\"emberbox\":7", 0 },
		{ ",\"emberbox\":[]", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":4}", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":0}", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":3601}", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":-60}", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":60.5}", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":\"60\"}", 0 },
		{ ",\"emberbox\":{\"report_interval_secs\":1e300}", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct portal_message m;
		char json[512];

		snprintf(json, sizeof(json),
			 "{" IFACE ",\"config\":{\"ipv4_masquerade_enabled\":true,\"ipv6_masquerade_enabled\":true}%s}", t[i].member);
		if (!EXPECT_EQ(decode(to_gateway, "init", json, &m), 0))
			continue;
		EXPECT_EQ(m.init_gateway.report_interval_secs, t[i].secs);
		msg_free(&m);
	}
}

TEST(spec10_70_reports_with_bad_values_are_refused)
{
	static const char *const bad[] = {
		"{}",
		"{\"connections\":{}}",
		"{\"connections\":[7]}",
		"{\"connections\":[{\"path\":\"direct\",\"rx_bytes\":0,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":\"x\",\"path\":\"direct\",\"rx_bytes\":0,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"DIRECT\",\"rx_bytes\":0,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"rx_bytes\":0,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"direct\",\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"direct\",\"rx_bytes\":-1,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"direct\",\"rx_bytes\":1e17,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"direct\",\"rtt_ms\":60001,\"rx_bytes\":0,\"tx_bytes\":0}]}",
		"{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"direct\",\"rtt_ms\":0.5,\"rx_bytes\":0,\"tx_bytes\":0}]}",
	};
	struct json_out o = JSON_OUT;
	struct portal_message m;
	struct cJSON *root;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(decode(from_gateway, "connections_report", bad[i], &m), ERR_MALFORMED);
	REQUIRE(decode(from_gateway, "connections_report",
		       "{\"connections\":[{\"client_id\":" UUID1 ",\"path\":\"relayed\",\"rtt_ms\":null,\"rx_bytes\":1,\"tx_bytes\":2,\"more\":3}]}", &m) == 0);
	REQUIRE(m.connections_report.n == 1);
	EXPECT(!m.connections_report.connections[0].has_rtt);
	EXPECT_EQ(m.connections_report.connections[0].path, MSG_PATH_RELAYED);
	msg_free(&m);
	/* nobody else sends it */
	EXPECT_EQ(decode(from_client, "connections_report", "{\"connections\":[]}", &m), ERR_NOT_FOUND);

	json_open(&o, NULL);
	json_open_array(&o, "connections");
	for (u32 i = 0; i <= MSG_REPORTED_MAX; i++)
		json_put_raw(&o, NULL, SPAN_STR("{\"client_id\":" UUID1 ",\"path\":\"direct\",\"rx_bytes\":0,\"tx_bytes\":0}"));
	json_close_array(&o);
	json_close(&o);
	REQUIRE(json_parse(json_text(&o), NULL, &root) == 0);
	EXPECT_EQ(msg_decode(from_gateway, "connections_report", root, &m, &why), ERR_LIMIT);
	json_free(root);
	json_out_free(&o);
}

TEST(messages_of_another_wire_are_not_encoded)
{
	struct portal_message m = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { "r" } };
	struct json_out o = JSON_OUT;

	EXPECT_EQ(msg_encode(from_client, &m, &o, NULL), ERR_INVAL);
	EXPECT_EQ(msg_encode(from_gateway, &m, &o, "payload"), 0);
	json_out_free(&o);
}

TEST(messages_named_limits_hold)
{
	struct portal_message m;
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	json_put_raw(&o, "disconnected_ids", SPAN_STR("[]"));
	json_open_array(&o, "connected");
	for (u32 i = 0; i <= MSG_RELAYS_MAX; i++)
		json_put_raw(&o, NULL, SPAN_STR(ENTRY(UUID1, "1.2.3.4:3478")));
	json_close_array(&o);
	json_close(&o);
	struct cJSON *root;
	REQUIRE(json_parse(json_text(&o), NULL, &root) == 0);
	EXPECT_EQ(msg_decode(to_client, "relays_presence", root, &m, &why), ERR_LIMIT);
	json_free(root);
	json_out_reset(&o);
	json_open(&o, NULL);
	json_put_raw(&o, "client_id", SPAN_STR(UUID1));
	json_open_array(&o, "candidates");
	for (u32 i = 0; i < 2 * MSG_CANDIDATES_MAX; i++)
		json_put_str(&o, NULL, "c");
	json_close_array(&o);
	json_close(&o);
	REQUIRE(json_parse(json_text(&o), NULL, &root) == 0);
	EXPECT_EQ(msg_decode(to_gateway, "ice_candidates", root, &m, &why), 0);
	EXPECT_EQ(m.candidates.candidates.n, MSG_CANDIDATES_MAX); /* the first are the best */
	msg_free(&m);
	json_free(root);
	json_out_free(&o);
}
