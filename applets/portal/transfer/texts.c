/* What a text says, before anything is done: so that one that is broken in the middle changes nothing. */
#include "applets/portal/transfer/transfer_int.h"

#include "applets/portal/model/entity.h"
#include "applets/portal/model/idna.h"
#include "core/base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *transfer_text(const struct cJSON *row, const char *key)
{
	struct json_get g = JSON_GET;
	const struct cJSON *v = json_member(&g, row, key);
	const char *s = v ? json_value_str(v) : NULL;

	return s && *s ? s : NULL;
}

/* A port, or a range as any of them writes it: "80", "80 - 90", "[80,91)", 80. */
static bool put_port(struct strbuf *b, const struct cJSON *port)
{
	const char *text = json_value_str(port);
	unsigned first, last;
	int end = 0;
	u64 n;

	if (!text && json_value_uint(port, 65535, &n) == 0) {
		strbuf_printf(b, "%u", (unsigned)n);
		return true;
	}
	if (text && sscanf(text, "[%u,%u)%n", &first, &last, &end) == 2 && end > 0 && last > first) {
		strbuf_printf(b, last - first == 1 ? "%u" : "%u-%u", first, last - 1);
		return true;
	}
	if (!text || !*text || strspn(text, "0123456789- ") != strlen(text))
		return false;
	for (; *text; text++)
		if (*text != ' ')
			strbuf_putc(b, *text);
	return true;
}

char *transfer_filters(const struct cJSON *v)
{
	static const char *const numbers[] = { [1] = "icmp", [6] = "tcp", [17] = "udp" };
	struct strbuf b = { .p = NULL };
	bool ok = true;

	if (!v || json_is_null(v) || json_value_str(v))
		return strdup(v && json_value_str(v) ? json_value_str(v) : "");
	json_each(one, v) {
		struct json_get g = JSON_GET;
		const struct cJSON *protocol = json_member(&g, one, "protocol"), *ports = json_array_opt(&g, one, "ports");
		const char *name = protocol ? json_value_str(protocol) : NULL;
		u64 n = 0;
		bool is_first = true;

		if (!name && protocol && json_value_uint(protocol, 17, &n) == 0)
			name = numbers[n];
		ok = ok && name && !g.err;
		strbuf_printf(&b, "%s%s", b.n ? " " : "", name ? name : "");
		json_each(port, ports) {
			strbuf_putc(&b, is_first ? ':' : ',');
			is_first = false;
			ok = ok && put_port(&b, port);
		}
	}
	char *out = ok && b.n == 0 ? strdup("") : ok ? strbuf_take(&b) : NULL;
	strbuf_free(&b);
	return out;
}

char *transfer_conditions(const struct cJSON *v)
{
	struct strbuf b = { .p = NULL };
	bool ok = true;

	if (!v || json_is_null(v) || json_value_str(v))
		return strdup(v && json_value_str(v) ? json_value_str(v) : "");
	json_each(one, v) {
		struct json_get g = JSON_GET;
		const struct cJSON *values = json_array(&g, one, "values");
		const char *property = transfer_text(one, "property"), *operator = transfer_text(one, "operator");

		strbuf_printf(&b, "%s%s %s", b.n ? "\n" : "", property ? property : "remote_ip_location_region", operator ? operator : "is_in");
		json_each(value, values) {
			ok = ok && json_value_str(value);
			strbuf_printf(&b, " %s", ok ? json_value_str(value) : "");
		}
		ok = ok && !g.err;
	}
	char *out = ok && b.n == 0 ? strdup("") : ok ? strbuf_take(&b) : NULL;
	strbuf_free(&b);
	return out;
}

/* ---- checking --------------------------------------------------------------------------------------------------------------------------------- */

/* What is wrong with one element, NULL: nothing. */
typedef const char *(*fault)(const struct cJSON *one);

static const char *fault_of_named(const struct cJSON *one)
{
	return transfer_text(one, "name") ? NULL : "it has no name";
}

static const char *fault_of_actor(const struct cJSON *one)
{
	const char *type = transfer_text(one, "type"), *email = transfer_text(one, "email");
	char normal[EMAIL_MAX + 1];

	if (type && enum_parse(actor_type_names, type) < 0)
		return "there is no such type of actor";
	if (email && email_normalise(email, normal))
		return "its e-mail address is none";
	return fault_of_named(one);
}

static const char *fault_of_resource(const struct cJSON *one)
{
	const char *type = transfer_text(one, "type");
	struct json_get g = JSON_GET;
	char *filters = transfer_filters(json_member(&g, one, "filters"));
	bool is_readable = filters != NULL;

	free(filters);
	if (type && enum_parse(resource_type_names, type) < 0)
		return "there is no such type of resource";
	return is_readable ? fault_of_named(one) : "its filters cannot be read";
}

static const char *fault_of_policy(const struct cJSON *one)
{
	struct json_get g = JSON_GET;
	char *conditions = transfer_conditions(json_member(&g, one, "conditions"));
	bool is_readable = conditions != NULL;

	free(conditions);
	return is_readable ? NULL : "its conditions cannot be read";
}

static const char *fault_of_membership(const struct cJSON *one)
{
	return transfer_text(one, "group_id") && transfer_text(one, "actor_id") ? NULL : "it needs a group_id and an actor_id";
}

int transfer_check(const struct cJSON *root, char why[static TRANSFER_WHY_MAX])
{
	static const struct {
		const char *key;
		fault fault;
	} lists[] = {
		{ "groups", fault_of_named },	    { "actors", fault_of_actor },   { "memberships", fault_of_membership }, { "sites", fault_of_named },
		{ "resources", fault_of_resource }, { "policies", fault_of_policy },
	};
	struct json_get g = JSON_GET;

	if (!json_is_object(root)) {
		snprintf(why, TRANSFER_WHY_MAX, "it is no object with lists of actors, groups, sites, resources and policies");
		return ERR_MALFORMED;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct cJSON *list = json_member(&g, root, lists[i].key);
		u32 n = 0;

		if (list && !json_is_null(list) && !json_is_array(list)) {
			snprintf(why, TRANSFER_WHY_MAX, "\"%s\" is no list", lists[i].key);
			return ERR_MALFORMED;
		}
		json_each(one, list) {
			const char *wrong = json_is_object(one) ? lists[i].fault(one) : "it is no object";

			if (wrong) {
				snprintf(why, TRANSFER_WHY_MAX, "%s, number %u (%.100s): %s", lists[i].key, n + 1,
					 json_is_object(one) && transfer_text(one, "name") ? transfer_text(one, "name") : "no name", wrong);
				return ERR_MALFORMED;
			}
			n++;
		}
	}
	return 0;
}
