/* The REST API through real HTTP (spec 60 §10). */
#include "applets/portal/api/api.h"
#include "tests/unit/http_world.h"

#include <stdio.h>
#include <stdlib.h>

static char token_line[400];

/* A portal whose requests carry the token of an API client. */
static struct http_world *api_new(void)
{
	struct http_world *w = http_new();

	EXPECT_EQ(admin(w->portal, "api-client add --name bot"), 0);
	snprintf(token_line, sizeof(token_line), "Authorization: Bearer %s\r\n",
		 admin_value(w->portal, "api-token add --actor bot --name t", "token"));
	w->extra = token_line;
	return w;
}

/* A value along a path of the JSON of the last reply; "" when there is none. Static memory. */
static const char *at(struct http_world *w, const char *path)
{
	static char out[8][300];
	static int turn;
	char *text = out[turn++ % 8], parts[100];
	struct cJSON *root = NULL;
	const struct cJSON *v;
	u64 n;

	text[0] = '\0';
	if (!EXPECT_EQ(json_parse(SPAN(w->reply.body, w->reply.body_len), NULL, &root), 0))
		return text;
	v = root;
	snprintf(parts, sizeof(parts), "%s", path);
	for (char *save = NULL, *p = strtok_r(parts, ".", &save); p && v; p = strtok_r(NULL, ".", &save)) {
		struct json_get g = JSON_GET;

		if (json_is_array(v)) {
			int i = atoi(p);
			v = json_first(v);
			while (v && i-- > 0)
				v = json_next(v);
		} else {
			v = json_member(&g, v, p);
		}
	}
	if (v && json_value_str(v))
		snprintf(text, sizeof(out[0]), "%s", json_value_str(v));
	else if (v && json_value_uint(v, UINT32_MAX, &n) == 0)
		snprintf(text, sizeof(out[0]), "%u", (unsigned)n);
	else if (v)
		snprintf(text, sizeof(out[0]), "%s", json_is_null(v) ? "null" : json_is_true(v) ? "true" : json_is_false(v) ? "false" : "{}");
	json_free(root);
	return text;
}

static int ask(struct http_world *w, const char *method, const char *path, const char *body)
{
	static char quoted[4096];
	size_t n = 0;

	for (const char *p = body; p && *p && n + 1 < sizeof(quoted); p++)
		quoted[n++] = *p == '\'' ? '"' : *p;
	quoted[n] = '\0';
	return http_ask(w, method, path, body ? "application/json" : NULL, body ? quoted : NULL)->status;
}

TEST(spec60_65_lists_carry_metadata_and_errors_a_reason)
{
	struct http_world *w = api_new();
	char path[2048];

	for (int i = 0; i < 5; i++) {
		char command[64];
		snprintf(command, sizeof(command), "site add --name S%d", i);
		tick(w->portal, SEC(1));
		EXPECT_EQ(admin(w->portal, command), 0);
	}
	EXPECT_EQ(ask(w, "GET", "/sites?limit=3", NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "8");
	EXPECT_STR(at(w, "metadata.limit"), "3");
	EXPECT_STR(at(w, "metadata.prev_page"), "null");
	EXPECT(at(w, "data.2.managed_by")[0]); /* three were made at once */
	snprintf(path, sizeof(path), "/sites?limit=3&page_cursor=%s", at(w, "metadata.next_page"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.0.name"), "S0");
	EXPECT(at(w, "metadata.prev_page")[0] && strcmp(at(w, "metadata.prev_page"), "null") != 0);
	EXPECT_EQ(ask(w, "GET", "/sites?limit=0", NULL), 400);
	EXPECT_STR(at(w, "error.reason"), "The limit must be a number from 1 to 100");
	EXPECT_EQ(ask(w, "GET", "/sites?page_cursor=nonsense", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/sites/nonsense", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/sites/0b8c1d2e-0000-4000-8000-000000000001", NULL), 404);
	EXPECT_STR(at(w, "error.reason"), "Not Found");
	EXPECT_EQ(ask(w, "POST", "/sites", "{'site':{'name':''}}"), 422);
	EXPECT_STR(at(w, "error.reason"), "Unprocessable Content");
	EXPECT_STR(at(w, "error.validation_errors.name.0"), "Must not be empty");
	EXPECT_EQ(ask(w, "POST", "/sites", "{'site':{'name':'S1'}}"), 422);
	EXPECT_STR(at(w, "error.validation_errors.name.0"), "There is already a site 'S1'");
	EXPECT_EQ(ask(w, "POST", "/sites", "{'site':"), 400);
	EXPECT_EQ(ask(w, "POST", "/sites", "{'name':'x'}"), 400);
	EXPECT_EQ(ask(w, "POST", "/sites", "[]"), 400);
	EXPECT_EQ(ask(w, "PATCH", "/sites", NULL), 405);
	EXPECT_EQ(ask(w, "GET", "/sites/a/b/c/d", NULL), 404);
	http_free(w);
}

TEST(spec60_16_only_the_token_of_an_api_client_opens_the_api)
{
	struct http_world *w = api_new();
	char line[400], gateway[300];

	EXPECT_EQ(ask(w, "GET", "/account", NULL), 200);
	EXPECT_STR(at(w, "data.slug"), "acme");
	w->extra = NULL;
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 401);
	EXPECT_STR(http_header(&w->reply, "www-authenticate"), "Bearer");
	EXPECT_STR(at(w, "error.reason"), "Unauthorized");
	w->extra = line;
	snprintf(gateway, sizeof(gateway), "%s", token_for(w->portal, "--site Berlin"));
	snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", gateway);
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 401);
	snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", token_for(w->portal, "--actor jo@acme.example"));
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 401);
	snprintf(line, sizeof(line), "%.*sx\r\n", (int)strlen(token_line) - 2, token_line);
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 401);
	w->extra = token_line;
	EXPECT_EQ(admin(w->portal, "api-client disable bot"), 0);
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 401);
	EXPECT_EQ(admin(w->portal, "api-client enable bot"), 0);
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 200);
	EXPECT_EQ(admin(w->portal, "account update acme --rest-api off"), 0);
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 403);
	EXPECT_EQ(admin(w->portal, "account update acme --rest-api on"), 0);
	http_wait(w, SEC(366ull * 86400));
	EXPECT_EQ(ask(w, "GET", "/account", NULL), 401);
	http_free(w);
}

TEST(a_site_is_made_changed_and_deleted)
{
	struct http_world *w = api_new();
	char path[100];

	EXPECT_EQ(ask(w, "POST", "/sites", "{'site':{'name':'Hamburg','managed_by':'system','unknown':[1]}}"), 201);
	snprintf(path, sizeof(path), "/sites/%s", at(w, "data.id"));
	EXPECT_STR(http_header(&w->reply, "location"), path);
	EXPECT_STR(at(w, "data.managed_by"), "account");
	(void)admin_value(w->portal, "audit list --kind site --op insert --limit 1", "id"); /* who did that, and from where? */
	EXPECT(strstr(w->portal->reply.out, "\"principal\":\"api\"") && strstr(w->portal->reply.out, "203.0.113.7"));
	EXPECT_EQ(ask(w, "PUT", path, "{'site':{'name':'Bremen'}}"), 200);
	EXPECT_STR(at(w, "data.name"), "Bremen");
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_EQ(ask(w, "DELETE", path, NULL), 200);
	EXPECT_STR(at(w, "data.name"), "Bremen");
	EXPECT_EQ(ask(w, "GET", path, NULL), 404);
	EXPECT_EQ(ask(w, "GET", "/sites?managed_by=system", NULL), 200);
	snprintf(path, sizeof(path), "/sites/%s", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "DELETE", path, NULL), 403);
	EXPECT_EQ(ask(w, "PATCH", path, "{'site':{'name':'Mine'}}"), 403);
	http_free(w);
}

TEST(resources_and_policies_with_filters_and_conditions)
{
	struct http_world *w = api_new();
	char body[600], path[100], resource[64], group[64];

	EXPECT_EQ(ask(w, "GET", "/sites?name=Berlin", NULL), 200);
	snprintf(body, sizeof(body),
		 "{'resource':{'name':'lab','type':'cidr','address':'10.9.1.7/16','site_id':'%s',"
		 "'filters':[{'protocol':'tcp','ports':['22','8000 - 9000']},{'protocol':'icmp'}]}}",
		 at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "POST", "/resources", body), 201);
	EXPECT_STR(at(w, "data.address"), "10.9.0.0/16");
	EXPECT_STR(at(w, "data.filters.0.ports.1"), "8000 - 9000");
	EXPECT_STR(at(w, "data.filters.1.protocol"), "icmp");
	EXPECT_STR(at(w, "data.ip_stack"), "null");
	snprintf(resource, sizeof(resource), "%s", at(w, "data.id"));
	snprintf(path, sizeof(path), "/resources/%s", resource);
	EXPECT_EQ(ask(w, "PATCH", path, "{'resource':{'filters':[]}}"), 200);
	EXPECT_STR(at(w, "data.filters.0"), "");
	EXPECT_EQ(ask(w, "PATCH", path, "{'resource':{'filters':[{'protocol':'tcp','ports':['99999']}]}}"), 422);
	EXPECT(at(w, "error.validation_errors.filters.0")[0]);
	EXPECT_EQ(ask(w, "PATCH", path, "{'resource':{'filters':'all'}}"), 422);
	EXPECT_EQ(ask(w, "PATCH", path, "{'resource':{'address':5}}"), 422);
	EXPECT_STR(at(w, "error.validation_errors.address.0"), "must be text");
	EXPECT_EQ(ask(w, "GET", "/groups?name=Everyone", NULL), 200);
	snprintf(group, sizeof(group), "%s", at(w, "data.0.id"));
	snprintf(body, sizeof(body),
		 "{'policy':{'group_id':'%s','resource_id':'%s','description':'why','conditions':["
		 "{'property':'remote_ip','operator':'is_in_cidr','values':['10.0.0.0/8','192.0.2.1']},{'values':['DE']}]}}",
		 group, resource);
	EXPECT_EQ(ask(w, "POST", "/policies", body), 201);
	EXPECT_STR(at(w, "data.conditions.0.values.1"), "192.0.2.1");
	EXPECT_STR(at(w, "data.conditions.1.property"), "remote_ip_location_region");
	snprintf(path, sizeof(path), "/policies/%s", at(w, "data.id"));
	EXPECT_EQ(ask(w, "POST", "/policies", body), 422);
	EXPECT_EQ(ask(w, "PATCH", path, "{'policy':{'conditions':[],'description':null}}"), 200);
	EXPECT_STR(at(w, "data.description"), "null");
	EXPECT_STR(at(w, "data.conditions.0"), "");
	EXPECT_EQ(ask(w, "POST", "/policies", "{'policy':{}}"), 422);
	EXPECT_STR(at(w, "error.validation_errors.group_id.0"), "is required");
	EXPECT_EQ(ask(w, "POST", "/resources", "{'resource':{'name':'printers','type':'static_device_pool','address':'x'}}"), 201);
	EXPECT_STR(at(w, "data.address"), "null");
	EXPECT_EQ(ask(w, "GET", "/resources?type=internet", NULL), 200);
	snprintf(path, sizeof(path), "/resources/%s", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "DELETE", path, NULL), 403);
	http_free(w);
}

TEST(memberships_are_replaced_and_changed)
{
	struct http_world *w = api_new();
	char path[100], body[300], jo[64], ada[64], id[UUID_STRLEN];

	(void)principal_of(w->portal, PRINCIPAL_OPERATOR, "admin", "ada");
	snprintf(ada, sizeof(ada), "%s", uuid_format(&w->portal->reply.id, id));
	EXPECT_EQ(ask(w, "GET", "/actors?email=jo@acme.example", NULL), 200);
	snprintf(jo, sizeof(jo), "%s", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "POST", "/groups", "{'group':{'name':'G'}}"), 201);
	snprintf(path, sizeof(path), "/groups/%s/memberships", at(w, "data.id"));
	snprintf(body, sizeof(body), "{'memberships':[{'actor_id':'%s'}]}", jo);
	EXPECT_EQ(ask(w, "PUT", path, body), 200);
	EXPECT_STR(at(w, "data.actor_ids.0"), jo);
	snprintf(body, sizeof(body), "{'memberships':{'add':['%s'],'remove':['%s']}}", ada, jo);
	EXPECT_EQ(ask(w, "PATCH", path, body), 200);
	EXPECT_STR(at(w, "data.actor_ids.0"), ada);
	EXPECT_STR(at(w, "data.actor_ids.1"), "");
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.0.name"), "ada");
	EXPECT_STR(at(w, "metadata.count"), "1");
	EXPECT_EQ(ask(w, "PUT", path, "{'memberships':['x']}"), 422);
	EXPECT_EQ(ask(w, "PATCH", path, "{'memberships':{'add':[1]}}"), 422);
	EXPECT_EQ(ask(w, "PUT", path, "{'memberships':[{'actor_id':'0b8c1d2e-0000-4000-8000-000000000001'}]}"), 422);
	EXPECT_EQ(ask(w, "GET", "/groups?type=managed", NULL), 200);
	snprintf(path, sizeof(path), "/groups/%s/memberships", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "PUT", path, "{'memberships':[]}"), 403);
	EXPECT_EQ(ask(w, "PATCH", path, "{'memberships':{}}"), 403);
	http_free(w);
}

TEST(gateway_tokens_are_shown_once_and_revoked)
{
	struct http_world *w = api_new();
	char path[200], one[300];
	struct fake *gateway;

	EXPECT_EQ(ask(w, "GET", "/sites?name=Berlin", NULL), 200);
	snprintf(path, sizeof(path), "/sites/%s/gateway_tokens", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "POST", path, NULL), 201);
	gateway = join_gateway(w->portal, at(w, "data.token"), "gw", 'g');
	EXPECT_EVENT(gateway, "init");
	snprintf(one, sizeof(one), "%s/%s", path, at(w, "data.id"));
	EXPECT_STR(http_header(&w->reply, "location"), one);
	EXPECT_EQ(ask(w, "DELETE", one, NULL), 200);
	EXPECT_EVENT(gateway, "disconnect");
	EXPECT_EQ(ask(w, "DELETE", one, NULL), 404);
	EXPECT_EQ(ask(w, "POST", path, NULL), 201);
	EXPECT_EQ(ask(w, "POST", path, NULL), 201);
	EXPECT_EQ(ask(w, "DELETE", path, NULL), 200);
	EXPECT_STR(at(w, "data.deleted_count"), "2");
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "0");
	http_free(w);
}

static void make_service(struct http_world *w, char path[static 200])
{
	char id[40];

	snprintf(id, sizeof(id), "%s", admin_value(w->portal, "actor add --type service-account --name backup", "id"));
	snprintf(path, 200, "/actors/%s/client_tokens", id);
}

TEST(client_tokens_of_service_accounts_are_made_listed_and_revoked)
{
	struct http_world *w = api_new();
	char path[200], one[300], token[300], body[200];
	struct fake *client;

	make_service(w, path);
	EXPECT_EQ(ask(w, "POST", path, "{'client_token':{'expires_at':'2030-01-15T12:30:00.25+02:00','name':'nightly'}}"), 201);
	snprintf(token, sizeof(token), "%s", at(w, "data.token"));
	EXPECT_STR(at(w, "data.expires_at"), "2030-01-15T10:30:00.000000Z");
	EXPECT_STR(at(w, "data.name"), "nightly");
	snprintf(one, sizeof(one), "%s/%s", path, at(w, "data.id"));
	EXPECT_STR(http_header(&w->reply, "location"), one);
	client = join_client(w->portal, token, "machine", 'm');
	EXPECT_EVENT(client, "init");
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	EXPECT_STR(at(w, "data.0.name"), "nightly");
	EXPECT_STR(at(w, "data.0.token"), "");
	EXPECT(!strstr(w->reply.body, "secret") && !strstr(w->reply.body, "hash"));
	EXPECT_EQ(ask(w, "GET", one, NULL), 200);
	EXPECT_EQ(ask(w, "DELETE", one, NULL), 200);
	EXPECT_EVENT(client, "disconnect");
	EXPECT_EQ(ask(w, "GET", one, NULL), 404);
	EXPECT_EQ(ask(w, "POST", path, "{'client_token':{'expires_at':'2030-01-15T12:30:00Z'}}"), 201);
	EXPECT_EQ(ask(w, "DELETE", path, NULL), 200);
	EXPECT_STR(at(w, "data.deleted_count"), "1");

	static const char *const wrong[] = { "'2030-01-15'", "'2030-13-15T12:30:00Z'", "'2030-01-15T12:30:00'", "'2030-1-15T12:30:00Z'", "'2020-01-15T12:30:00Z'", "7",
					     "null", "'90d'", "'2030-01-15T12:30:00+2'" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(body, sizeof(body), "{'client_token':{'expires_at':%s}}", wrong[i]);
		if (!EXPECT_EQ(ask(w, "POST", path, body), 422))
			fprintf(stderr, "%s\n", wrong[i]);
	}
	EXPECT_EQ(ask(w, "POST", path, "{'client_token':{}}"), 422);
	EXPECT_EQ(ask(w, "POST", path, "{'client_token':[]}"), 400);
	EXPECT_EQ(ask(w, "POST", path, "{}"), 400);
	http_free(w);
}

/* A program must not become a person: that needs a page, or the command line, and somebody who is signed in there. */
TEST(client_tokens_of_people_are_seen_and_revoked_but_not_made)
{
	struct http_world *w = api_new();
	char path[200], token[300];
	struct fake *client;

	snprintf(token, sizeof(token), "%s", token_for(w->portal, "--actor jo@acme.example --expires 10d"));
	EXPECT_EQ(ask(w, "GET", "/actors?email=jo@acme.example", NULL), 200);
	snprintf(path, sizeof(path), "/actors/%s/client_tokens", at(w, "data.0.id"));
	client = join_client(w->portal, token, "laptop", 'l');
	EXPECT_EVENT(client, "init");
	EXPECT_EQ(ask(w, "POST", path, "{'client_token':{'expires_at':'2030-01-15T12:30:00Z'}}"), 403);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	EXPECT_EQ(ask(w, "DELETE", path, NULL), 200);
	EXPECT_STR(at(w, "data.deleted_count"), "1");
	EXPECT_EVENT(client, "disconnect");
	http_free(w);
}

TEST(gateway_tokens_are_listed_without_their_secrets)
{
	struct http_world *w = api_new();
	char path[200], one[300];

	EXPECT_EQ(ask(w, "GET", "/sites?name=Berlin", NULL), 200);
	snprintf(path, sizeof(path), "/sites/%s/gateway_tokens", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "POST", path, NULL), 201);
	snprintf(one, sizeof(one), "%s/%s", path, at(w, "data.id"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	EXPECT(!strstr(w->reply.body, "\"token\"") && !strstr(w->reply.body, "secret"));
	EXPECT_EQ(ask(w, "GET", one, NULL), 200);
	EXPECT_STR(at(w, "data.last_seen_at"), "null");
	http_free(w);
}

TEST(devices_of_a_pool_are_replaced_and_changed)
{
	struct http_world *w = api_new();
	char path[200], body[300], laptop[40], printer[40], token[300];

	snprintf(token, sizeof(token), "%s", token_for(w->portal, "--actor jo@acme.example --expires 10d"));
	(void)join_client(w->portal, token, "laptop", 'l');
	(void)join_client(w->portal, token, "printer", 'p');
	snprintf(laptop, sizeof(laptop), "%s", admin_value(w->portal, "client show laptop", "id"));
	snprintf(printer, sizeof(printer), "%s", admin_value(w->portal, "client show printer", "id"));
	EXPECT_EQ(ask(w, "POST", "/resources", "{'resource':{'name':'Printers','type':'static_device_pool'}}"), 201);
	snprintf(path, sizeof(path), "/resources/%s/pool_members", at(w, "data.id"));
	snprintf(body, sizeof(body), "{'pool_members':[{'device_id':'%s'},{'device_id':'%s'},{'device_id':'%s'}]}", laptop, printer, printer);
	EXPECT_EQ(ask(w, "PUT", path, body), 200);
	EXPECT(strstr(w->reply.body, laptop) && strstr(w->reply.body, printer));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "2");
	EXPECT(strcmp(at(w, "data.0.id"), laptop) == 0 || strcmp(at(w, "data.0.id"), printer) == 0);
	snprintf(body, sizeof(body), "{'pool_members':{'add':['%s'],'remove':['%s','%s']}}", printer, laptop, printer);
	EXPECT_EQ(ask(w, "PATCH", path, body), 200);
	EXPECT_STR(at(w, "data.device_ids.0"), printer);
	EXPECT_STR(at(w, "data.device_ids.1"), "");
	EXPECT_EQ(ask(w, "PATCH", path, "{'pool_members':{}}"), 200);
	EXPECT_STR(at(w, "data.device_ids.0"), printer);
	EXPECT_EQ(ask(w, "PUT", path, "{'pool_members':[{}]}"), 422); /* does not empty it */
	EXPECT_EQ(ask(w, "PATCH", path, "{'pool_members':{'add':['11111111-1111-4111-8111-111111111111']}}"), 422);
	EXPECT_EQ(ask(w, "PATCH", path, "{'pool_members':{'remove':['11111111-1111-4111-8111-111111111111']}}"), 200);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	EXPECT_EQ(ask(w, "PUT", path, "{'pool_members':[]}"), 200);
	EXPECT_STR(at(w, "data.device_ids.0"), "");
	EXPECT_EQ(ask(w, "GET", "/sites", NULL), 200);
	snprintf(body, sizeof(body), "{'resource':{'name':'lab','type':'cidr','address':'10.7.0.0/16','site_id':'%s'}}", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "POST", "/resources", body), 201);
	snprintf(path, sizeof(path), "/resources/%s/pool_members", at(w, "data.id"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/resources/11111111-1111-4111-8111-111111111111/pool_members", NULL), 404);
	http_free(w);
}

TEST(lists_are_narrowed_by_what_things_are)
{
	struct http_world *w = api_new();
	char path[200], token[300];

	snprintf(token, sizeof(token), "%s", token_for(w->portal, "--site Berlin"));
	(void)join_gateway(w->portal, token, "gw-a", 'g');
	(void)join_gateway(w->portal, token, "gw-b", 'h');
	EXPECT_EQ(ask(w, "GET", "/sites?name=Berlin", NULL), 200);
	snprintf(path, sizeof(path), "/sites/%s/gateways", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "2");
	char query[300], first[64];
	snprintf(first, sizeof(first), "%s", at(w, "data.0.ipv4"));
	snprintf(query, sizeof(query), "%s?ipv4=%s", path, first);
	EXPECT_EQ(ask(w, "GET", query, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	EXPECT_STR(at(w, "data.0.ipv4"), first);
	snprintf(query, sizeof(query), "%s?ipv6=fd00:2021:1111::2", path);
	EXPECT_EQ(ask(w, "GET", query, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	snprintf(query, sizeof(query), "%s?ipv4=192.0.2.1", path);
	EXPECT_EQ(ask(w, "GET", query, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "0");
	snprintf(query, sizeof(query), "%s?ipv4=x", path);
	EXPECT_EQ(ask(w, "GET", query, NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/groups?entity_type=group", NULL), 200);
	EXPECT_EQ(ask(w, "GET", "/clients?external_id=nobody", NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "0");
	EXPECT_EQ(ask(w, "GET", "/resources?ip_stack=dual&address=example.com", NULL), 200);
	EXPECT_EQ(ask(w, "GET", "/email_otp_auth_providers?name=none", NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "0");
	http_free(w);
}

TEST(an_account_has_its_own_rate_limit)
{
	struct http_world *w = api_new();
	int ok = 0;

	w->cfg.api_rate = (struct rate_rule){ 200, 10, 10 };
	EXPECT_EQ(admin(w->portal, "account update acme --api-capacity 50 --api-refill-rate 10"), 0);
	while (ok < 100 && ask(w, "GET", "/account", NULL) == 200)
		ok++;
	EXPECT_EQ(ok, 5);
	EXPECT_EQ(w->reply.status, 429);
	EXPECT(atoi(http_header(&w->reply, "retry-after")) >= 1);
	EXPECT_STR(at(w, "error.reason"), "Too Many Requests");
	http_free(w);
}

TEST(hostile_values_are_refused_or_kept_as_text)
{
	static const char *const values[] = {
		"'<script>alert(1)</script>'", "'a\\r\\nSet-Cookie: x=1'", "'; DROP TABLE sites; --'", "'\\u0000'", "true", "1e400", "{}", "[[[[[[[[[]]]]]]]]]",
		"null", "'\\ud800'",
	};
	struct http_world *w = api_new();
	char body[6000], path[100];

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(body, sizeof(body), "{'site':{'name':%s}}", values[i]);
		int status = ask(w, "POST", "/sites", body);
		if (!EXPECT(status == 201 || status == 422 || status == 400))
			fprintf(stderr, "%s: %d\n", values[i], status);
		EXPECT_EQ(ask(w, "GET", "/sites", NULL), 200);
	}
	memset(body, 'a', 300);
	snprintf(body + 300, sizeof(body) - 300, "'}}");
	memcpy(body, "{'site':{'name':'", 17);
	EXPECT_EQ(ask(w, "POST", "/sites", body), 422);
	EXPECT_STR(at(w, "error.validation_errors.name.0"), "must have at most 64 characters");
	EXPECT_EQ(ask(w, "POST", "/sites", "{'site':{'name':'a','name':'b'}}"), 400);
	EXPECT_EQ(ask(w, "GET", "/policies?group_id=x", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/actors?type=x", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/actors?type=%00", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/actors?type=", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/actors?limit=%zz", NULL), 400);
	(void)path;
	http_free(w);
}

TEST(the_document_names_every_path)
{
	struct http_world *w = api_new();

	w->extra = NULL;
	EXPECT_EQ(ask(w, "GET", "/openapi", NULL), 200);
	EXPECT_STR(at(w, "openapi"), "3.1.0");
	EXPECT(strstr(w->reply.body, "\"/sites/{site_id}/gateways/{id}\""));
	EXPECT(strstr(w->reply.body, "\"/okta_directories/{id}\""));
	EXPECT(!strstr(w->reply.body, "client_secret") && !strstr(w->reply.body, "psk"));
	EXPECT_EQ(ask(w, "GET", "/swaggerui", NULL), 200);
	EXPECT(strstr(w->reply.body, "GET /sites/{site_id}/gateways"));
	EXPECT(strstr(w->reply.body, "POST /actors/{actor_id}/client_tokens"));
	http_free(w);
}

TEST(clients_are_renamed_and_verified_and_providers_read)
{
	struct http_world *w = api_new();
	struct fake *c = join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", 'l');
	char path[100], verify[120];

	EXPECT_EVENT(c, "init");
	EXPECT_EQ(ask(w, "GET", "/clients", NULL), 200);
	EXPECT_STR(at(w, "data.0.online"), "true");
	EXPECT_STR(at(w, "data.0.ipv4"), "100.64.0.1");
	snprintf(path, sizeof(path), "/clients/%s", at(w, "data.0.id"));
	EXPECT_EQ(ask(w, "PATCH", path, "{'client':{'name':'old'}}"), 200);
	EXPECT_STR(at(w, "data.name"), "old");
	snprintf(verify, sizeof(verify), "%s/verify", path);
	EXPECT_EQ(ask(w, "PUT", verify, NULL), 200);
	EXPECT(at(w, "data.verified_at")[0] == '2');
	snprintf(verify, sizeof(verify), "%s/unverify", path);
	EXPECT_EQ(ask(w, "PUT", verify, NULL), 200);
	EXPECT_STR(at(w, "data.verified_at"), "null");
	EXPECT_EQ(ask(w, "GET", "/email_otp_auth_providers", NULL), 200);
	EXPECT_STR(at(w, "data.0.name"), "Email (OTP)");
	EXPECT_EQ(ask(w, "GET", "/oidc_auth_providers", NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "0");
	EXPECT_EQ(ask(w, "POST", "/oidc_auth_providers", "{}"), 405);
	http_free(w);
}

TEST(connects_are_listed_page_by_page)
{
	struct http_world *w = api_new();
	char path[300], first[64];

	for (int i = 0; i < 5; i++) {
		struct fake *c = join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), i < 4 ? "laptop" : "phone", (char)('a' + i));
		EXPECT_EVENT(c, "init");
		tick(w->portal, SEC(1));
	}
	tick(w->portal, SESSION_FLUSH_INTERVAL);
	EXPECT_EQ(ask(w, "GET", "/client_sessions?limit=2", NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "5");
	EXPECT_STR(at(w, "metadata.prev_page"), "null");
	snprintf(first, sizeof(first), "%s", at(w, "data.0.id"));
	snprintf(path, sizeof(path), "/client_sessions?limit=2&page_cursor=%s", at(w, "metadata.next_page"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT(strcmp(at(w, "data.0.id"), first) < 0);
	snprintf(path, sizeof(path), "/client_sessions?limit=2&page_cursor=%s", at(w, "metadata.prev_page"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.0.id"), first);
	EXPECT_STR(at(w, "metadata.prev_page"), "null");
	snprintf(path, sizeof(path), "/client_sessions?client_id=%s", at(w, "data.0.client_id"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "1");
	snprintf(path, sizeof(path), "/client_sessions/%s", first);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.id"), first);
	EXPECT_STR(at(w, "data.last_seen_remote_ip_location_city"), "null");
	EXPECT_STR(at(w, "data.last_seen_remote_ip_location_lat"), "null");
	EXPECT_EQ(ask(w, "GET", "/client_sessions/0b8c1d2e-0000-4000-8000-000000000001", NULL), 404);
	EXPECT_EQ(ask(w, "GET", "/client_sessions?page_cursor=c5", NULL), 400);
	EXPECT_EQ(ask(w, "GET", "/gateway_sessions", NULL), 200);
	EXPECT_STR(at(w, "metadata.count"), "0");
	struct connect far = { .role = MSG_ROLE_GATEWAY, .token = token_for(w->portal, "--site Berlin"), .external_id = "gw", .key = 'g',
			       .user_agent = "Debian/12.0.0 gateway/1.5.2 (x86_64)", .region = "CL", .city = "Iquique", .coordinates = "-20.2133,-70.1525" };
	EXPECT(connect_as(w->portal, &far)->peer != NULL);
	tick(w->portal, SESSION_FLUSH_INTERVAL);
	const struct reply *r = http_get(w, "/gateway_sessions");
	EXPECT_HAS(r->body, "\"last_seen_remote_ip_location_region\":\"CL\",\"last_seen_remote_ip_location_city\":\"Iquique\","
			    "\"last_seen_remote_ip_location_lat\":-20.2133,\"last_seen_remote_ip_location_lon\":-70.1525");
	http_free(w);
}

/* ---- ETag and If-Match (RFC 9110 §13.1.1) ---- */

static const char *tag_of(struct http_world *w)
{
	static char out[4][80];
	static int turn;
	char *tag = out[turn++ % 4];

	snprintf(tag, sizeof(out[0]), "%s", http_header(&w->reply, "etag"));
	EXPECT(tag[0] == '"' && strlen(tag) > 10);
	return tag;
}

/* With If-Match; NULL: without. */
static int ask_if(struct http_world *w, const char *tag, const char *method, const char *path, const char *body)
{
	char extra[700];
	int status;

	snprintf(extra, sizeof(extra), "%s%s%s%s", token_line, tag ? "If-Match: " : "", tag ? tag : "", tag ? "\r\n" : "");
	w->extra = extra;
	status = ask(w, method, path, body);
	w->extra = token_line;
	return status;
}

TEST(what_was_changed_since_is_not_changed_by_who_asks_for_that)
{
	struct http_world *w = api_new();
	char path[200], first[80], second[80], list[300];

	EXPECT_EQ(ask(w, "POST", "/sites", "{'site':{'name':'Bern'}}"), 201);
	snprintf(first, sizeof(first), "%s", tag_of(w));
	snprintf(path, sizeof(path), "%s", http_header(&w->reply, "location"));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(tag_of(w), first);
	tick(w->portal, SEC(1));
	EXPECT_EQ(ask_if(w, first, "PATCH", path, "{'site':{'name':'Basel'}}"), 200);
	snprintf(second, sizeof(second), "%s", tag_of(w));
	EXPECT(strcmp(first, second) != 0);
	EXPECT_EQ(ask_if(w, first, "PUT", path, "{'site':{'name':'Biel'}}"), 412);
	EXPECT_HAS(at(w, "error.reason"), "changed since");
	EXPECT_EQ(ask_if(w, first, "DELETE", path, NULL), 412);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.name"), "Basel");
	EXPECT_STR(tag_of(w), second);
	/* what is no tag of ours; a weak one never matches */
	snprintf(list, sizeof(list), "W/%s", second);
	EXPECT_EQ(ask_if(w, list, "PATCH", path, "{'site':{'name':'X'}}"), 412);
	EXPECT_EQ(ask_if(w, "\"\"", "PATCH", path, "{'site':{'name':'X'}}"), 412);
	EXPECT_EQ(ask_if(w, "", "PATCH", path, "{'site':{'name':'X'}}"), 412);
	/* one of several, any, and a body that cannot be read comes first */
	snprintf(list, sizeof(list), "%s, \"other\", %s", first, second);
	EXPECT_EQ(ask_if(w, list, "PATCH", path, "{'site':{'name':'Chur'}}"), 200);
	EXPECT_EQ(ask_if(w, "*", "PATCH", path, "{'site':{'name':'Sion'}}"), 200);
	EXPECT_EQ(ask_if(w, first, "PATCH", path, "{'site':{'name':7}}"), 422);
	/* as before without it, and where there is nothing */
	EXPECT_EQ(ask_if(w, NULL, "PATCH", path, "{'site':{'name':'Brig'}}"), 200);
	snprintf(second, sizeof(second), "%s", tag_of(w));
	EXPECT_EQ(ask_if(w, second, "DELETE", path, NULL), 200);
	EXPECT_EQ(ask_if(w, "*", "DELETE", path, NULL), 404);
	http_free(w);
}

/* A change of what an answer does not show (conditions) counts, and what the store sets by itself (a group that is gone); being used does not. */
TEST(a_tag_is_of_what_can_be_changed)
{
	struct http_world *w = api_new();
	char path[200], id[64], tag[80], members[200];
	struct fake *c;

	EXPECT_EQ(admin(w->portal, "resource add --site Berlin --address 10.9.0.5 --name web"), 0);
	EXPECT_EQ(admin(w->portal, "group add --name Ops"), 0);
	snprintf(id, sizeof(id), "%s", admin_value(w->portal, "policy add --group Ops --resource web", "id"));
	snprintf(path, sizeof(path), "/policies/%s", id);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	snprintf(tag, sizeof(tag), "%s", tag_of(w));
	tick(w->portal, SEC(1));
	EXPECT_EQ(ask(w, "PATCH", path, "{'policy':{'conditions':[{'property':'client_verified','operator':'is','values':['true']}]}}"), 200);
	EXPECT_EQ(ask_if(w, tag, "PATCH", path, "{'policy':{'description':'x'}}"), 412);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	snprintf(tag, sizeof(tag), "%s", tag_of(w));
	EXPECT_EQ(admin(w->portal, "group delete Ops"), 0);
	EXPECT_EQ(ask_if(w, tag, "PATCH", path, "{'policy':{'description':'x'}}"), 412);

	c = join_client(w->portal, token_for(w->portal, "--actor jo@acme.example"), "laptop", '1');
	EXPECT_EVENT(c, "init");
	snprintf(id, sizeof(id), "%s", admin_value(w->portal, "client show laptop", "id"));
	snprintf(path, sizeof(path), "/clients/%s", id);
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.online"), "true");
	snprintf(tag, sizeof(tag), "%s", tag_of(w));
	hang_up(c);
	tick(w->portal, SEC(11));
	EXPECT_EQ(ask(w, "GET", path, NULL), 200);
	EXPECT_STR(at(w, "data.online"), "false");
	EXPECT_STR(tag_of(w), tag);
	snprintf(path, sizeof(path), "/clients/%s/verify", id);
	EXPECT_EQ(ask_if(w, "\"old\"", "PUT", path, NULL), 412);
	EXPECT_EQ(ask_if(w, tag, "PUT", path, NULL), 200);
	EXPECT(strcmp(tag_of(w), tag) != 0);
	/* lists have none */
	snprintf(members, sizeof(members), "/groups/%s/memberships", admin_value(w->portal, "group add --name Crew", "id"));
	EXPECT_EQ(ask_if(w, tag, "PATCH", members, "{'memberships':{'add':[]}}"), 412);
	EXPECT_EQ(ask_if(w, tag, "PUT", members, "{'memberships':[]}"), 412);
	EXPECT_EQ(ask_if(w, "*", "PUT", members, "{'memberships':[]}"), 200);
	snprintf(path, sizeof(path), "/sites/%s/gateway_tokens", admin_value(w->portal, "site show Berlin", "id"));
	EXPECT_EQ(ask_if(w, tag, "DELETE", path, NULL), 412);
	EXPECT_EQ(ask_if(w, NULL, "DELETE", path, NULL), 200);
	http_free(w);
}

TEST(the_document_says_where_tags_are_and_what_they_do)
{
	struct http_world *w = api_new();

	EXPECT_EQ(ask(w, "GET", "/openapi", NULL), 200);
	EXPECT_STR(at(w, "paths./sites/{id}.get.responses.200.headers.ETag.$ref"), "#/components/headers/ETag");
	EXPECT_STR(at(w, "paths./sites/{id}.patch.parameters.0.$ref"), "#/components/parameters/IfMatch");
	EXPECT_STR(at(w, "paths./sites/{id}.delete.responses.412.description"), "It was changed since");
	EXPECT_STR(at(w, "paths./clients/{id}/verify.put.parameters.0.$ref"), "#/components/parameters/IfMatch");
	EXPECT_STR(at(w, "paths./sites.post.responses.201.headers.ETag.$ref"), "#/components/headers/ETag");
	EXPECT_STR(at(w, "paths./sites.post.responses.412.description"), "");
	EXPECT_STR(at(w, "components.parameters.IfMatch.name"), "If-Match");
	http_free(w);
}
