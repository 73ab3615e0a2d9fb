#include "applets/portal/api/api.h"

#include "applets/portal/http/assets.h"
#include "applets/portal/model/rules.h"
#include "applets/version.h"

#include <stdio.h>
#include <string.h>

/* ---- schemas ------------------------------------------------------------------------------------------------------------------- */

/* "type": "string", or ["string","null"]. */
static void put_type(struct json_out *o, const char *type, bool is_nullable)
{
	if (!is_nullable) {
		json_put_str(o, "type", type);
		return;
	}
	json_open_array(o, "type");
	json_put_str(o, NULL, type);
	json_put_str(o, NULL, "null");
	json_close_array(o);
}

static void put_strings(struct json_out *o, const char *key, const char *const *names, bool with_null)
{
	json_open_array(o, key);
	for (u32 i = 0; names[i]; i++)
		if (names[i][0])
			json_put_str(o, NULL, names[i]);
	if (with_null)
		json_put_null(o, NULL);
	json_close_array(o);
}

static void put_list_of_text(struct json_out *o, const char *key)
{
	json_open(o, key);
	json_put_str(o, "type", "array");
	json_open(o, "items");
	json_put_str(o, "type", "string");
	json_close(o);
	json_close(o);
}

static void put_objects(struct json_out *o, const char *name, const char *const *names, const char *list, const char *const *needed)
{
	json_put_str(o, "type", "array");
	json_open(o, "items");
	json_put_str(o, "type", "object");
	json_open(o, "properties");
	json_open(o, name);
	json_put_str(o, "type", "string");
	put_strings(o, "enum", names, false);
	json_close(o);
	if (strcmp(name, "property") == 0) {
		json_open(o, "operator");
		json_put_str(o, "type", "string");
		json_close(o);
	}
	put_list_of_text(o, list);
	json_close(o);
	put_strings(o, "required", needed, false);
	json_close(o);
}

static void put_format(struct json_out *o, bool is_nullable, const char *format)
{
	put_type(o, "string", is_nullable);
	json_put_str(o, "format", format);
}

static void put_field(struct json_out *o, const struct api_field *f, bool is_request)
{
	static const char *const of_filter[] = { "protocol", NULL }, *const of_condition[] = { "values", NULL };
	bool null = f->flags & API_NULLABLE;

	json_open(o, f->name);
	switch (f->type) {
	case API_ID:
		put_format(o, null, "uuid");
		break;
	case API_TEXT:
		put_type(o, "string", null);
		if (is_request && !null)
			json_put_u64(o, "minLength", 1);
		if (is_request)
			json_put_u64(o, "maxLength", f->max ? f->max : 255);
		break;
	case API_BOOL:
	case API_ONLINE:
	case API_DISABLED:
		json_put_str(o, "type", "boolean");
		break;
	case API_INT:
		json_put_str(o, "type", "integer");
		break;
	case API_TIME:
		put_format(o, null, "date-time");
		break;
	case API_ENUM:
		put_type(o, "string", null);
		put_strings(o, "enum", f->names, null);
		break;
	case API_IPV4:
		put_format(o, null, "ipv4");
		break;
	case API_IPV6:
		put_format(o, null, "ipv6");
		break;
	case API_FILTERS:
		put_objects(o, "protocol", protocol_names, "ports", of_filter);
		break;
	case API_CONDITIONS:
		put_objects(o, "property", property_names, "values", of_condition);
		break;
	}
	if (f->help && *f->help)
		json_put_str(o, "description", f->help);
	json_close(o);
}

static bool is_of_resource(const struct api_resource *r, const struct api_field *f)
{
	return !f->types || r->only_type < 0 || (f->types >> r->only_type) & 1;
}

/* What an answer shows of one. */
static void put_row_schema(struct json_out *o, const struct api_resource *r)
{
	json_open(o, r->title);
	json_put_str(o, "type", "object");
	json_open(o, "properties");
	json_open(o, "id");
	put_format(o, false, "uuid");
	json_close(o);
	for (u32 i = 0; i < r->n_fields; i++)
		if (is_of_resource(r, &r->fields[i]))
			put_field(o, &r->fields[i], false);
	json_close(o);
	json_open_array(o, "required");
	json_put_str(o, NULL, "id");
	for (u32 i = 0; i < r->n_fields; i++)
		if (is_of_resource(r, &r->fields[i]))
			json_put_str(o, NULL, r->fields[i].name);
	json_close_array(o);
	json_close(o);
}

static void put_request_schema(struct json_out *o, const struct api_resource *r, bool is_new)
{
	char name[64];
	u32 n_required = 0;

	snprintf(name, sizeof(name), "%s%s", r->title, is_new ? "Create" : "Update");
	json_open(o, name);
	json_put_str(o, "type", "object");
	json_open(o, "properties");
	json_open(o, r->root);
	json_put_str(o, "type", "object");
	json_open(o, "properties");
	for (u32 i = 0; i < r->n_fields; i++)
		if (r->fields[i].value)
			put_field(o, &r->fields[i], true);
	json_close(o);
	for (u32 i = 0; i < r->n_fields && is_new; i++)
		n_required += r->fields[i].value && r->fields[i].flags & API_REQUIRED;
	if (n_required) {
		json_open_array(o, "required");
		for (u32 i = 0; i < r->n_fields; i++)
			if (r->fields[i].value && r->fields[i].flags & API_REQUIRED)
				json_put_str(o, NULL, r->fields[i].name);
		json_close_array(o);
	}
	json_close(o);
	json_close(o);
	json_open_array(o, "required");
	json_put_str(o, NULL, r->root);
	json_close_array(o);
	json_close(o);
}

/* What is no row of the table. */
#define LOCATION_PROPERTIES                                                              \
	"\"last_seen_remote_ip_location_city\":{\"type\":[\"string\",\"null\"]},"          \
	"\"last_seen_remote_ip_location_lat\":{\"type\":[\"number\",\"null\"]},"           \
	"\"last_seen_remote_ip_location_lon\":{\"type\":[\"number\",\"null\"]},"
#define LOCATION_NAMES                                                                   \
	"\"last_seen_remote_ip_location_city\",\"last_seen_remote_ip_location_lat\","    \
	"\"last_seen_remote_ip_location_lon\","

static const struct {
	const char *name, *json;
} fixed_schemas[] = {
	{ "Error",
	  "{\"type\":\"object\",\"properties\":{\"error\":{\"type\":\"object\","
	  "\"properties\":{\"reason\":{\"type\":\"string\"},\"validation_errors\":{\"type\":\"object\","
	  "\"additionalProperties\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}},"
	  "\"required\":[\"reason\"]}},\"required\":[\"error\"]}" },
	{ "Metadata",
	  "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"integer\"},\"limit\":{\"type\":\"integer\"},"
	  "\"next_page\":{\"type\":[\"string\",\"null\"]},\"prev_page\":{\"type\":[\"string\",\"null\"]}},"
	  "\"required\":[\"count\",\"limit\",\"next_page\",\"prev_page\"]}" },
	{ "Limit",
	  "{\"type\":\"object\",\"properties\":{\"used\":{\"type\":\"integer\"},"
	  "\"available\":{\"type\":\"integer\"},\"total\":{\"type\":\"integer\"}},\"required\":[\"used\","
	  "\"available\",\"total\"]}" },
	{ "Account",
	  "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
	  "\"slug\":{\"type\":\"string\"},\"key\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"},"
	  "\"legal_name\":{\"type\":[\"string\",\"null\"]},\"limits\":{\"type\":\"object\","
	  "\"additionalProperties\":{\"$ref\":\"#/components/schemas/Limit\"}}},\"required\":[\"id\",\"slug\","
	  "\"key\",\"name\",\"legal_name\",\"limits\"]}" },
	{ "Member",
	  "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
	  "\"name\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"}},\"required\":[\"id\",\"name\",\"type\"]}" },
	{ "Memberships",
	  "{\"type\":\"object\",\"properties\":{\"actor_ids\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
	  "\"format\":\"uuid\"}}},\"required\":[\"actor_ids\"]}" },
	{ "MembershipsPut",
	  "{\"type\":\"object\",\"properties\":{\"memberships\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	  "\"properties\":{\"actor_id\":{\"type\":\"string\",\"format\":\"uuid\"}},\"required\":[\"actor_id\"]}}},"
	  "\"required\":[\"memberships\"]}" },
	{ "MembershipsPatch",
	  "{\"type\":\"object\",\"properties\":{\"memberships\":{\"type\":\"object\","
	  "\"properties\":{\"add\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"uuid\"}},"
	  "\"remove\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"uuid\"}}}}},"
	  "\"required\":[\"memberships\"]}" },
	{ "NewGatewayToken",
	  "{\"allOf\":[{\"$ref\":\"#/components/schemas/GatewayToken\"},{\"type\":\"object\",\"properties\":{"
	  "\"token\":{\"type\":\"string\"}},\"required\":[\"token\"]}]}" },
	{ "NewClientToken",
	  "{\"allOf\":[{\"$ref\":\"#/components/schemas/ClientToken\"},{\"type\":\"object\",\"properties\":{"
	  "\"token\":{\"type\":\"string\"}},\"required\":[\"token\"]}]}" },
	{ "ClientTokenCreate",
	  "{\"type\":\"object\",\"properties\":{\"client_token\":{\"type\":\"object\",\"properties\":{"
	  "\"expires_at\":{\"type\":\"string\",\"format\":\"date-time\"},\"name\":{\"type\":[\"string\",\"null\"],"
	  "\"maxLength\":255}},\"required\":[\"expires_at\"]}},\"required\":[\"client_token\"]}" },
	{ "PoolMember",
	  "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
	  "\"name\":{\"type\":\"string\"},\"last_seen_at\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}},"
	  "\"required\":[\"id\",\"name\",\"last_seen_at\"]}" },
	{ "PoolMembers",
	  "{\"type\":\"object\",\"properties\":{\"device_ids\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
	  "\"format\":\"uuid\"}}},\"required\":[\"device_ids\"]}" },
	{ "PoolMembersPut",
	  "{\"type\":\"object\",\"properties\":{\"pool_members\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	  "\"properties\":{\"device_id\":{\"type\":\"string\",\"format\":\"uuid\"}},\"required\":[\"device_id\"]}}},"
	  "\"required\":[\"pool_members\"]}" },
	{ "PoolMembersPatch",
	  "{\"type\":\"object\",\"properties\":{\"pool_members\":{\"type\":\"object\","
	  "\"properties\":{\"add\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"uuid\"}},"
	  "\"remove\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"uuid\"}}}}},"
	  "\"required\":[\"pool_members\"]}" },
	{ "DeletedTokens",
	  "{\"type\":\"object\",\"properties\":{\"deleted_count\":{\"type\":\"integer\"}},"
	  "\"required\":[\"deleted_count\"]}" },
	{ "ClientSession",
	  "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
	  "\"client_id\":{\"type\":\"string\",\"format\":\"uuid\"},\"client_token_id\":{\"type\":\"string\","
	  "\"format\":\"uuid\"},\"last_seen_user_agent\":{\"type\":[\"string\",\"null\"]},"
	  "\"last_seen_remote_ip\":{\"type\":[\"string\",\"null\"]},"
	  "\"last_seen_remote_ip_location_region\":{\"type\":[\"string\",\"null\"]}," LOCATION_PROPERTIES
	  "\"last_seen_version\":{\"type\":[\"string\",\"null\"]},\"last_seen_at\":{\"type\":\"string\","
	  "\"format\":\"date-time\"},\"created_at\":{\"type\":\"string\",\"format\":\"date-time\"}},"
	  "\"required\":[\"id\",\"client_id\",\"client_token_id\",\"last_seen_user_agent\",\"last_seen_remote_ip\","
	  "\"last_seen_remote_ip_location_region\"," LOCATION_NAMES "\"last_seen_version\",\"last_seen_at\",\"created_at\"]}" },
	{ "GatewaySession",
	  "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
	  "\"gateway_id\":{\"type\":\"string\",\"format\":\"uuid\"},\"gateway_token_id\":{\"type\":\"string\","
	  "\"format\":\"uuid\"},\"last_seen_user_agent\":{\"type\":[\"string\",\"null\"]},"
	  "\"last_seen_remote_ip\":{\"type\":[\"string\",\"null\"]},"
	  "\"last_seen_remote_ip_location_region\":{\"type\":[\"string\",\"null\"]}," LOCATION_PROPERTIES
	  "\"last_seen_version\":{\"type\":[\"string\",\"null\"]},\"last_seen_at\":{\"type\":\"string\","
	  "\"format\":\"date-time\"},\"created_at\":{\"type\":\"string\",\"format\":\"date-time\"}},"
	  "\"required\":[\"id\",\"gateway_id\",\"gateway_token_id\",\"last_seen_user_agent\","
	  "\"last_seen_remote_ip\",\"last_seen_remote_ip_location_region\"," LOCATION_NAMES "\"last_seen_version\",\"last_seen_at\","
	  "\"created_at\"]}" },
};

/* ---- operations ---------------------------------------------------------------------------------------------------------------------- */

struct operation {
	const char *method, *id, *summary, *tag;
	const char *request;   /* schema; NULL: no body */
	const char *answer;    /* schema */
	const struct api_resource *list; /* answers a list, narrowed as it says; NULL: one */
	bool is_list;
	u16 status;
	const char *filter;    /* an id that narrows the list; NULL: none */
};

static void put_ref(struct json_out *o, const char *key, const char *schema)
{
	char ref[96];

	snprintf(ref, sizeof(ref), "#/components/schemas/%s", schema);
	json_open(o, key);
	json_put_str(o, "$ref", ref);
	json_close(o);
}

static void put_query(struct json_out *o, const char *name, const char *type, const char *format, const char *const *names)
{
	json_open(o, NULL);
	json_put_str(o, "name", name);
	json_put_str(o, "in", "query");
	json_open(o, "schema");
	json_put_str(o, "type", type);
	if (format)
		json_put_str(o, "format", format);
	if (names)
		put_strings(o, "enum", names, false);
	if (strcmp(name, "limit") == 0) {
		json_put_u64(o, "minimum", 1);
		json_put_u64(o, "maximum", STORE_PAGE_MAX);
		json_put_u64(o, "default", STORE_PAGE_DEFAULT);
	}
	json_close(o);
	json_close(o);
}

static const char *format_of(const struct api_field *f)
{
	return f->type == API_ID ? "uuid" : f->type == API_IPV4 ? "ipv4" : f->type == API_IPV6 ? "ipv6" : NULL;
}

/* One row of the table: it has a tag. */
static bool is_row(const struct operation *op)
{
	for (u32 i = 0; i < n_api_resources && !op->is_list; i++)
		if (strcmp(api_resources[i].title, op->answer) == 0)
			return true;
	return false;
}

static bool takes_tag(const struct operation *op)
{
	return is_row(op) && strcmp(op->method, "get") != 0 && strcmp(op->method, "post") != 0;
}

static void put_parameters(struct json_out *o, const struct operation *op)
{
	if (takes_tag(op))
		json_put_raw(o, "parameters", SPAN_STR("[{\"$ref\":\"#/components/parameters/IfMatch\"}]"));
	if (!op->is_list)
		return;
	json_open_array(o, "parameters");
	put_query(o, "limit", "integer", NULL, NULL);
	put_query(o, "page_cursor", "string", NULL, NULL);
	if (op->filter)
		put_query(o, op->filter, "string", "uuid", NULL);
	for (u32 i = 0; op->list && i < op->list->n_fields; i++) {
		const struct api_field *f = &op->list->fields[i];
		if (f->flags & API_QUERY)
			put_query(o, f->name, "string", format_of(f), f->type == API_ENUM ? f->names : NULL);
	}
	json_close_array(o);
}

static void put_answer(struct json_out *o, const struct operation *op)
{
	char status[8];

	snprintf(status, sizeof(status), "%u", op->status);
	json_open(o, status);
	json_put_str(o, "description", op->status == 201 ? "Made" : "Done");
	if (is_row(op) && strcmp(op->method, "delete") != 0)
		json_put_raw(o, "headers", SPAN_STR("{\"ETag\":{\"$ref\":\"#/components/headers/ETag\"}}"));
	json_open(o, "content");
	json_open(o, "application/json");
	json_open(o, "schema");
	json_put_str(o, "type", "object");
	json_open(o, "properties");
	if (op->is_list) {
		json_open(o, "data");
		json_put_str(o, "type", "array");
		put_ref(o, "items", op->answer);
		json_close(o);
		put_ref(o, "metadata", "Metadata");
	} else {
		put_ref(o, "data", op->answer);
	}
	json_close(o);
	json_open_array(o, "required");
	json_put_str(o, NULL, "data");
	if (op->is_list)
		json_put_str(o, NULL, "metadata");
	json_close_array(o);
	for (u32 i = 0; i < 4; i++)
		json_close(o);
}

static void put_error(struct json_out *o, const char *status, const char *words)
{
	json_open(o, status);
	json_put_str(o, "description", words);
	json_open(o, "content");
	json_open(o, "application/json");
	put_ref(o, "schema", "Error");
	for (u32 i = 0; i < 3; i++)
		json_close(o);
}

static void put_operation(struct json_out *o, const struct operation *op)
{
	json_open(o, op->method);
	json_put_str(o, "operationId", op->id);
	json_put_str(o, "summary", op->summary);
	json_open_array(o, "tags");
	json_put_str(o, NULL, op->tag);
	json_close_array(o);
	put_parameters(o, op);
	if (op->request) {
		json_open(o, "requestBody");
		json_put_bool(o, "required", true);
		json_open(o, "content");
		json_open(o, "application/json");
		put_ref(o, "schema", op->request);
		json_close(o);
		json_close(o);
		json_close(o);
	}
	json_open(o, "responses");
	put_answer(o, op);
	if (takes_tag(op))
		put_error(o, "412", "It was changed since");
	put_error(o, "default", "What went wrong");
	json_close(o);
	json_close(o);
}

static void put_path_parameter(struct json_out *o, const char *name)
{
	json_open(o, NULL);
	json_put_str(o, "name", name);
	json_put_str(o, "in", "path");
	json_put_bool(o, "required", true);
	json_open(o, "schema");
	put_format(o, false, "uuid");
	json_close(o);
	json_close(o);
}

/* Opens a path and names its {parameters}. */
static void open_path(struct json_out *o, const char *path)
{
	char name[64];

	json_open(o, path);
	if (!strchr(path, '{'))
		return;
	json_open_array(o, "parameters");
	for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p + 1, "}"), p + 1);
		put_path_parameter(o, name);
	}
	json_close_array(o);
}

/* What is no row of the table; on a path of the table it stands beside the row's own. */
static const struct {
	const char *path;
	struct operation op;
} special[] = {
	{ "/account", { "get", "showAccount", "The account, and what is used of its limits", "Account", NULL, "Account", NULL, false, 200, NULL } },
	{ "/groups/{group_id}/memberships", { "get", "listMemberships", "Who is in a group", "Memberships", NULL, "Member", NULL, true, 200, NULL } },
	{ "/groups/{group_id}/memberships", { "put", "setMemberships", "Let these be in it, and nobody else", "Memberships", "MembershipsPut", "Memberships", NULL, false, 200, NULL } },
	{ "/groups/{group_id}/memberships", { "patch", "changeMemberships", "Add and remove some", "Memberships", "MembershipsPatch", "Memberships", NULL, false, 200, NULL } },
	{ "/resources/{resource_id}/pool_members", { "get", "listPoolMembers", "The devices of a pool", "Pool members", NULL, "PoolMember", NULL, true, 200, NULL } },
	{ "/resources/{resource_id}/pool_members", { "put", "setPoolMembers", "Let these be in it, and no others", "Pool members", "PoolMembersPut", "PoolMembers", NULL, false, 200, NULL } },
	{ "/resources/{resource_id}/pool_members", { "patch", "changePoolMembers", "Add and remove some", "Pool members", "PoolMembersPatch", "PoolMembers", NULL, false, 200, NULL } },
	{ "/sites/{site_id}/gateway_tokens", { "post", "createGatewayToken", "Make one; it is shown this once", "Gateway tokens", NULL, "NewGatewayToken", NULL, false, 201, NULL } },
	{ "/sites/{site_id}/gateway_tokens", { "delete", "deleteGatewayTokens", "Revoke all of a site", "Gateway tokens", NULL, "DeletedTokens", NULL, false, 200, NULL } },
	{ "/actors/{actor_id}/client_tokens", { "post", "createClientToken", "Make one for a service account; it is shown this once", "Client tokens", "ClientTokenCreate", "NewClientToken", NULL, false, 201, NULL } },
	{ "/actors/{actor_id}/client_tokens", { "delete", "deleteClientTokens", "Revoke all of an actor", "Client tokens", NULL, "DeletedTokens", NULL, false, 200, NULL } },
	{ "/clients/{id}/verify", { "put", "verifyClient", "Trust the device", "Clients", NULL, "Client", NULL, false, 200, NULL } },
	{ "/clients/{id}/unverify", { "put", "unverifyClient", "Trust it no more", "Clients", NULL, "Client", NULL, false, 200, NULL } },
	{ "/client_sessions", { "get", "listClientSessions", "Connects of clients, newest first", "Sessions", NULL, "ClientSession", NULL, true, 200, "client_id" } },
	{ "/client_sessions/{id}", { "get", "showClientSession", "Show one", "Sessions", NULL, "ClientSession", NULL, false, 200, NULL } },
	{ "/gateway_sessions", { "get", "listGatewaySessions", "Connects of gateways, newest first", "Sessions", NULL, "GatewaySession", NULL, true, 200, "gateway_id" } },
	{ "/gateway_sessions/{id}", { "get", "showGatewaySession", "Show one", "Sessions", NULL, "GatewaySession", NULL, false, 200, NULL } },
};

static void put_special(struct json_out *o, const char *path)
{
	for (u32 i = 0; i < ARRAY_LEN(special); i++)
		if (strcmp(special[i].path, path) == 0)
			put_operation(o, &special[i].op);
}

static const char *singular_parent(const struct api_resource *r)
{
	return strcmp(r->parent, "sites") == 0 ? "site_id" : "actor_id";
}

static void path_of(const struct api_resource *r, char out[static 160])
{
	if (r->parent)
		snprintf(out, 160, "/%s/{%s}/%s", r->parent, singular_parent(r), r->segment);
	else
		snprintf(out, 160, "/%s", r->segment);
}

static void put_resource(struct json_out *o, const struct api_resource *r)
{
	char path[160], one[170], id[80], summary[96], create[64], update[64];

	path_of(r, path);
	snprintf(one, sizeof(one), "%s/{id}", path);
	snprintf(create, sizeof(create), "%sCreate", r->title);
	snprintf(update, sizeof(update), "%sUpdate", r->title);
#define OP(verb, words, ...)                                                          \
	do {                                                                          \
		snprintf(id, sizeof(id), verb "%s", r->title);                        \
		snprintf(summary, sizeof(summary), words " (%s)", r->plural);         \
		put_operation(o, &(struct operation){ .id = id, .summary = summary, .tag = r->plural, .answer = r->title, __VA_ARGS__ }); \
	} while (0)
	open_path(o, path);
	OP("list", "List", .method = "get", .list = r, .is_list = true, .status = 200);
	if (r->ops & API_CREATE)
		OP("create", "Make one", .method = "post", .request = create, .status = 201);
	put_special(o, path);
	json_close(o);
	open_path(o, one);
	OP("show", "Show one", .method = "get", .status = 200);
	if (r->ops & API_UPDATE) {
		OP("replace", "Change one", .method = "put", .request = update, .status = 200);
		OP("update", "Change one", .method = "patch", .request = update, .status = 200);
	}
	if (r->ops & API_DELETE)
		OP("delete", "Delete one", .method = "delete", .status = 200);
	json_close(o);
#undef OP
}

static bool is_of_table(const char *path)
{
	char text[160];

	for (u32 i = 0; i < n_api_resources; i++) {
		path_of(&api_resources[i], text);
		if (strcmp(text, path) == 0)
			return true;
	}
	return false;
}

void openapi_write(struct json_out *o, const char *server)
{
	json_open(o, NULL);
	json_put_str(o, "openapi", "3.1.0");
	json_open(o, "info");
	json_put_str(o, "title", "emberbox portal");
	json_put_str(o, "version", EMBERBOX_VERSION);
	json_put_str(o, "description", "Authorization: Bearer with a token of an API client (Settings, API clients).");
	json_close(o);
	json_open_array(o, "servers");
	json_open(o, NULL);
	json_put_str(o, "url", server);
	json_close(o);
	json_close_array(o);
	json_open_array(o, "security");
	json_open(o, NULL);
	json_open_array(o, "token");
	json_close_array(o);
	json_close(o);
	json_close_array(o);
	json_open(o, "paths");
	for (u32 i = 0; i < n_api_resources; i++)
		put_resource(o, &api_resources[i]);
	for (u32 i = 0; i < ARRAY_LEN(special); i++) {
		if (is_of_table(special[i].path) || (i > 0 && strcmp(special[i].path, special[i - 1].path) == 0))
			continue;
		open_path(o, special[i].path);
		put_special(o, special[i].path);
		json_close(o);
	}
	json_close(o);
	json_open(o, "components");
	json_open(o, "securitySchemes");
	json_open(o, "token");
	json_put_str(o, "type", "http");
	json_put_str(o, "scheme", "bearer");
	json_close(o);
	json_close(o);
	json_put_raw(o, "headers",
		     SPAN_STR("{\"ETag\":{\"description\":\"Changes with what somebody can change in it; presence and last use do not count\","
			      "\"schema\":{\"type\":\"string\"}}}"));
	json_put_raw(o, "parameters",
		     SPAN_STR("{\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"description\":\"The ETag it was read with: when it was changed since, the "
			      "answer is 412 and nothing is done. Not given: it is done anyhow\",\"schema\":{\"type\":\"string\"}}}"));
	json_open(o, "schemas");
	for (u32 i = 0; i < n_api_resources; i++) {
		put_row_schema(o, &api_resources[i]);
		if (api_resources[i].ops & API_CREATE)
			put_request_schema(o, &api_resources[i], true);
		if (api_resources[i].ops & API_UPDATE)
			put_request_schema(o, &api_resources[i], false);
	}
	for (u32 i = 0; i < ARRAY_LEN(fixed_schemas); i++)
		json_put_raw(o, fixed_schemas[i].name, SPAN(fixed_schemas[i].json, strlen(fixed_schemas[i].json)));
	json_close(o);
	json_close(o);
	json_close(o);
}

/* The base of the API's addresses, without a slash at the end: peers' URL may begin with ws. */
static void server_of(const struct portal *p, char out[static 512])
{
	const char *url = p->api_url ? p->api_url : p->web_url ? p->web_url : "/";

	if (strncmp(url, "ws", 2) == 0)
		snprintf(out, 512, "http%s", url + 2);
	else
		snprintf(out, 512, "%s", url);
	size_t n = strlen(out);
	if (n > 1 && out[n - 1] == '/')
		out[n - 1] = '\0';
}

void api_openapi(struct exchange *x)
{
	struct json_out o = JSON_OUT;
	char server[512];

	server_of(x->portal, server);
	openapi_write(&o, server);
	if (!json_ok(&o)) {
		json_out_free(&o);
		exchange_problem(x, 503, NULL);
		return;
	}
	exchange_header(x, "Content-Type", "application/json; charset=utf-8");
	strbuf_add(&x->out, o.buf, o.len);
	json_out_free(&o);
	exchange_send(x);
}

/* ---- the same for people ------------------------------------------------------------------------------------------------------------------- */

static void put_html(struct strbuf *b, const char *s)
{
	for (; *s; s++)
		if (strchr("<>&\"'", *s))
			strbuf_printf(b, "&#%d;", *s);
		else
			strbuf_putc(b, *s);
}

static const char *type_words(const struct api_field *f)
{
	static const char *const words[] = {
		[API_ID] = "id",	  [API_TEXT] = "text",	 [API_BOOL] = "true or false", [API_INT] = "number",
		[API_TIME] = "time",	  [API_ENUM] = "one of", [API_IPV4] = "IPv4 address",  [API_IPV6] = "IPv6 address",
		[API_ONLINE] = "true or false", [API_DISABLED] = "true or false", [API_FILTERS] = "list of protocols and ports",
		[API_CONDITIONS] = "list of conditions",
	};

	return words[f->type];
}

static void doc_fields(struct strbuf *b, const struct api_resource *r)
{
	strbuf_puts(b, "<table><tr><th>Member</th><th>Is</th><th>In requests</th><th>Meaning</th></tr>");
	for (u32 i = 0; i < r->n_fields; i++) {
		const struct api_field *f = &r->fields[i];

		if (!is_of_resource(r, f))
			continue;
		strbuf_printf(b, "<tr><td><code>%s</code></td><td>%s", f->name, type_words(f));
		for (u32 j = 0; f->type == API_ENUM && f->names[j]; j++)
			if (f->names[j][0])
				strbuf_printf(b, " <code>%s</code>", f->names[j]);
		strbuf_printf(b, "%s</td><td>%s</td><td>", f->flags & API_NULLABLE ? ", or null" : "",
			      !f->value ? "" : f->flags & API_REQUIRED ? "needed to make one" : "optional");
		put_html(b, f->help ? f->help : "");
		strbuf_puts(b, "</td></tr>");
	}
	strbuf_puts(b, "</table>");
}

static void doc_operation(struct strbuf *b, const char *method, const char *path, const char *words)
{
	strbuf_printf(b, "<li><code>%s ", method);
	put_html(b, path);
	strbuf_puts(b, "</code> ");
	put_html(b, words);
	strbuf_puts(b, "</li>");
}

static void doc_resource(struct strbuf *b, const struct api_resource *r)
{
	char path[160], one[170];

	path_of(r, path);
	snprintf(one, sizeof(one), "%s/{id}", path);
	strbuf_printf(b, "<h2 id=\"%s\">%s</h2><ul>", r->segment, r->plural);
	doc_operation(b, "GET", path, "list");
	if (r->ops & API_CREATE)
		doc_operation(b, "POST", path, "make one");
	doc_operation(b, "GET", one, "show one");
	if (r->ops & API_UPDATE)
		doc_operation(b, "PUT, PATCH", one, "change one; what is not given stays");
	if (r->ops & API_DELETE)
		doc_operation(b, "DELETE", one, "delete one");
	strbuf_puts(b, "</ul>");
	if (r->ops & (API_CREATE | API_UPDATE))
		strbuf_printf(b, "<p>Requests have the form <code>{\"%s\":{…}}</code>.</p>", r->root);
	doc_fields(b, r);
}

void api_docs(struct exchange *x)
{
	struct strbuf *b = &x->out;

	strbuf_printf(b,
		      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>REST API</title>"
		      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"stylesheet\" href=\"%s\">"
		      "</head><body><main><h1>REST API</h1>",
		      asset_url("app.css"));
	strbuf_puts(b, "<p>Every request carries <code>Authorization: Bearer</code> with the token of an API client. Lists take "
		       "<code>limit</code> (1 to 100) and <code>page_cursor</code>, which <code>metadata</code> of the page before names. "
		       "One thing is answered with its <code>ETag</code>; a change that sends it as <code>If-Match</code> is made only when nobody changed it since, else 412. "
		       "Errors are <code>{\"error\":{\"reason\":…,\"validation_errors\":{…}}}</code>. "
		       "For programs: <a href=\"/openapi\">OpenAPI document</a>.</p>");
	for (u32 i = 0; i < n_api_resources; i++)
		doc_resource(b, &api_resources[i]);
	strbuf_puts(b, "<h2>Others</h2><ul>");
	for (u32 i = 0; i < ARRAY_LEN(special); i++) {
		char method[8];

		snprintf(method, sizeof(method), "%s", special[i].op.method);
		for (char *p = method; *p; p++)
			*p = (char)(*p - 'a' + 'A');
		doc_operation(b, method, special[i].path, special[i].op.summary);
	}
	strbuf_puts(b, "</ul></main></body></html>");
	exchange_send(x);
}
