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

/* What is listed thing by thing, as {of_id: the thing, id: what is inside}: members of groups, of pools. */
struct inside {
	const char *key, *of, *noun, *verb, *option, *of_id, *id;
};
static const struct inside memberships = { "memberships", "group", "member", "list", "group", "group_id", "actor_id" };
static const struct inside pools = { "pool_members", "resource", "pool", "members", "target", "resource_id", "client_id" };

static bool put_inside_one(struct json_out *o, const char *dir, const char *account, const struct inside *in, const char *id)
{
	struct json_get g = JSON_GET;
	struct cJSON *inside = NULL;
	struct admin_reply reply;

	if (!ask(dir, account, in->noun, in->verb, in->option, id, &reply))
		return false;
	bool ok = json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &inside) == 0;
	admin_reply_free(&reply);
	json_each(one, inside) {
		json_open(o, NULL);
		json_put_str(o, in->of_id, id);
		json_put_str(o, in->id, json_str(&g, one, "id"));
		json_close(o);
	}
	json_free(inside);
	return ok;
}

static bool has_inside(const struct inside *in, const char *type)
{
	return !type || (strcmp(type, "managed") != 0 && (in != &pools || strcmp(type, "static_device_pool") == 0));
}

static bool put_inside(struct json_out *o, const char *dir, const char *account, const struct inside *in)
{
	struct admin_reply reply;
	struct cJSON *things = NULL;

	if (!ask(dir, account, in->of, "list", NULL, NULL, &reply))
		return false;
	bool ok = json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &things) == 0;
	admin_reply_free(&reply);
	json_open_array(o, in->key);
	json_each(thing, things) {
		struct json_get g = JSON_GET;
		const char *id = json_str(&g, thing, "id");

		if (ok && has_inside(in, json_str_null(&g, thing, "type")))
			ok = put_inside_one(o, dir, account, in, id);
	}
	json_close_array(o);
	json_free(things);
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
	ok = ok && put_inside(&o, dir, account, &memberships) && put_inside(&o, dir, account, &pools);
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
