#include "applets/portal/transfer/transfer.h"

#include "applets/portal/cli.h"
#include "applets/portal/admin/admin.h"

#include <stdio.h>
#include <string.h>

/* The JSON that a verb answers with; false: it failed and said so. */
static bool ask(const char *dir, const char *account, const char *noun, const char *verb, const char *option, const char *value,
		struct admin_reply *reply)
{
	struct admin_request rq = { .noun = noun, .verb = verb, .is_json = true };

	if (account)
		rq.field[rq.n_fields++] = (struct admin_field){ "account", account };
	if (option)
		rq.field[rq.n_fields++] = (struct admin_field){ option, value };
	if (cli_request(dir, &rq, reply))
		return false;
	if (reply->status == 0 && reply->out)
		return true;
	fputs(reply->err ? reply->err : "emberbox portal: no answer\n", stderr);
	admin_reply_free(reply);
	return false;
}

static bool put(struct json_out *o, const char *dir, const char *account, const char *key, const char *noun)
{
	struct admin_reply reply;
	bool ok = ask(dir, account, noun, "list", NULL, NULL, &reply);

	if (!ok)
		return false;
	json_put_raw(o, key, SPAN(reply.out, strlen(reply.out)));
	admin_reply_free(&reply);
	return true;
}

/* What a list of things has inside, one by one: {key: id of the thing, other: id of what is inside}. */
static bool put_inside(struct json_out *o, const char *dir, const char *account, const char *list, const char *noun, const char *verb,
		       const char *option, const char *key, const char *other)
{
	struct cJSON *things = NULL;
	bool ok = json_parse(SPAN(list, strlen(list)), NULL, &things) == 0;

	if (!ok)
		return false;
	json_each(thing, things) {
		struct json_get g = JSON_GET;
		const char *id = json_str(&g, thing, "id"), *type = json_str_null(&g, thing, "type");
		struct cJSON *inside = NULL;
		struct admin_reply reply;

		if (type && (strcmp(type, "managed") == 0 || (strcmp(noun, "pool") == 0 && strcmp(type, "static_device_pool") != 0)))
			continue;
		ok = ask(dir, account, noun, verb, option, id, &reply);
		if (!ok)
			break;
		ok = json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &inside) == 0;
		admin_reply_free(&reply);
		json_each(one, inside) {
			json_open(o, NULL);
			json_put_str(o, key, id);
			json_put_str(o, other, json_str(&g, one, "id"));
			json_close(o);
		}
		json_free(inside);
		if (!ok)
			break;
	}
	json_free(things);
	return ok;
}

static bool put_members(struct json_out *o, const char *dir, const char *account)
{
	struct admin_reply reply;
	bool ok = ask(dir, account, "group", "list", NULL, NULL, &reply);

	if (!ok)
		return false;
	json_open_array(o, "memberships");
	ok = put_inside(o, dir, account, reply.out, "member", "list", "group", "group_id", "actor_id");
	json_close_array(o);
	admin_reply_free(&reply);
	return ok;
}

static bool put_pools(struct json_out *o, const char *dir, const char *account)
{
	struct admin_reply reply;
	bool ok = ask(dir, account, "resource", "list", NULL, NULL, &reply);

	if (!ok)
		return false;
	json_open_array(o, "pool_members");
	ok = put_inside(o, dir, account, reply.out, "pool", "members", "target", "resource_id", "client_id");
	json_close_array(o);
	admin_reply_free(&reply);
	return ok;
}

int export_run(const char *dir, const char *account)
{
	static const struct {
		const char *key, *noun;
	} lists[] = {
		{ "actors", "actor" },	   { "groups", "group" },	 { "sites", "site" },	       { "resources", "resource" },
		{ "policies", "policy" },  { "clients", "client" },	 { "gateways", "gateway" },    { "auth_providers", "provider" },
		{ "identities", "identity" }, { "directories", "directory" },
	};
	struct json_out o = JSON_OUT;
	bool ok = true;

	json_open(&o, NULL);
	json_put_str(&o, "format", TRANSFER_FORMAT);
	json_put_u64(&o, "version", TRANSFER_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(lists) && ok; i++)
		ok = put(&o, dir, account, lists[i].key, lists[i].noun);
	ok = ok && put_members(&o, dir, account) && put_pools(&o, dir, account);
	json_close(&o);
	ok = ok && json_ok(&o);
	if (ok) {
		fwrite(o.buf, 1, o.len, stdout);
		fputc('\n', stdout);
		ok = fflush(stdout) == 0;
	}
	json_out_free(&o);
	return ok ? 0 : 1;
}
