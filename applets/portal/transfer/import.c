#include "applets/portal/transfer/transfer.h"

#include "applets/portal/admin/admin.h"
#include "applets/portal/cli.h"
#include "applets/portal/model/idna.h"
#include "core/base/strbuf.h"
#include "core/ip/addr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A thing of the text, and what it is here. */
struct link_up {
	const char *from;     /* its id in the text */
	char to[UUID_STRLEN]; /* its id here; "" while it would only be made */
};

struct importer {
	const struct import_options *o;
	const struct cJSON *root;
	struct link_up *link;
	u32 n_links, cap_links;
	u32 added, kept, failed;
};

static const char *text_of(const struct cJSON *row, const char *key)
{
	struct json_get g = JSON_GET;
	const struct cJSON *v = json_member(&g, row, key);
	const char *s = v ? json_value_str(v) : NULL;

	return s && *s ? s : NULL;
}

static bool is_true(const struct cJSON *row, const char *key)
{
	struct json_get g = JSON_GET;
	const struct cJSON *v = json_member(&g, row, key);
	const char *s = v ? json_value_str(v) : NULL;

	return v && (json_is_true(v) || (s && strcmp(s, "t") == 0));
}

static const struct cJSON *list_of(const struct importer *im, const char *key)
{
	struct json_get g = JSON_GET;

	return json_array_opt(&g, im->root, key);
}

static bool is_same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------------------ */

static void give(struct admin_request *rq, const char *name, const char *value)
{
	if (value && rq->n_fields < ADMIN_FIELDS_MAX)
		rq->field[rq->n_fields++] = (struct admin_field){ name, value };
}

static struct admin_request request(const struct importer *im, const char *noun, const char *verb)
{
	struct admin_request rq = { .noun = noun, .verb = verb, .is_json = true };

	give(&rq, "account", im->o->account);
	return rq;
}

/* What is here of a kind, as JSON (json_free()); NULL: it failed and said so. */
static struct cJSON *ask_list(const struct importer *im, const char *noun, const char *option, const char *value)
{
	struct admin_request rq = request(im, noun, "list");
	struct cJSON *out = NULL;
	struct admin_reply reply;

	give(&rq, option, value);
	if (cli_request(im->o->dir, &rq, &reply))
		return NULL;
	if (reply.status || !reply.out || json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &out))
		fputs(reply.err ? reply.err : "emberbox portal: the answer cannot be read\n", stderr);
	admin_reply_free(&reply);
	return out;
}

/* Runs it, unless this is a rehearsal; the id of what was made in `id`. */
static bool act(struct importer *im, const struct admin_request *rq, const char *what, char id[static UUID_STRLEN])
{
	struct admin_reply reply;
	struct cJSON *root = NULL;
	bool ok;

	id[0] = '\0';
	if (im->o->is_dry_run) {
		printf("would: %s\n", what);
		im->added++;
		return true;
	}
	if (cli_request(im->o->dir, rq, &reply))
		return false;
	ok = reply.status == 0;
	if (ok && reply.out && json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &root) == 0 && json_is_object(root))
		snprintf(id, UUID_STRLEN, "%s", text_of(root, "id") ? text_of(root, "id") : "");
	json_free(root);
	printf("%s%s\n", ok ? "" : "not done: ", what);
	if (!ok)
		fputs(reply.err ? reply.err : "", stderr);
	*(ok ? &im->added : &im->failed) += 1;
	admin_reply_free(&reply);
	return ok;
}

/* ---- what is what -------------------------------------------------------------------------------------------------------------------- */

static bool link_to(struct importer *im, const struct cJSON *row, const char *to)
{
	const char *from = text_of(row, "id");

	if (!from)
		return true;
	if (im->n_links == im->cap_links) {
		u32 cap = im->cap_links * 2 + 64;
		struct link_up *more = realloc(im->link, cap * sizeof(*more));
		if (!more)
			return false;
		im->link = more;
		im->cap_links = cap;
	}
	struct link_up *l = &im->link[im->n_links++];
	l->from = from;
	snprintf(l->to, sizeof(l->to), "%s", to ? to : "");
	return true;
}

/* NULL: the text never told of it, or it could not be made. */
static const char *linked(const struct importer *im, const char *from)
{
	for (u32 i = 0; from && i < im->n_links; i++)
		if (strcmp(im->link[i].from, from) == 0)
			return im->link[i].to;
	return NULL;
}

typedef bool (*same)(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours);
typedef bool (*make)(struct importer *im, const struct cJSON *theirs, char id[static UUID_STRLEN]);

/* Each of a list: found here, or made. */
static bool bring(struct importer *im, const char *key, const char *noun, same is_it, make make_it)
{
	struct cJSON *here = ask_list(im, noun, NULL, NULL);
	const struct cJSON *list = list_of(im, key);
	bool ok = here != NULL;

	if (!ok)
		return false;
	json_each(theirs, list) {
		const struct cJSON *found = NULL;
		char id[UUID_STRLEN] = "";

		json_each(ours, here)
			if (!found && is_it(im, theirs, ours))
				found = ours;
		if (found) {
			im->kept++;
			ok = link_to(im, theirs, text_of(found, "id"));
		} else if (make_it(im, theirs, id)) {
			ok = link_to(im, theirs, id);
		}
		if (!ok)
			break;
	}
	json_free(here);
	return ok;
}

/* ---- the kinds -------------------------------------------------------------------------------------------------------------------------- */

static bool same_group(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	(void)im;
	return is_same(text_of(theirs, "name"), text_of(ours, "name"));
}

static bool make_group(struct importer *im, const struct cJSON *g, char id[static UUID_STRLEN])
{
	struct admin_request rq = request(im, "group", "add");
	char what[400];

	give(&rq, "name", text_of(g, "name"));
	snprintf(what, sizeof(what), "group '%s'", text_of(g, "name") ? text_of(g, "name") : "");
	return act(im, &rq, what, id);
}

static bool same_actor(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *email = text_of(theirs, "email"), *other = text_of(ours, "email");

	(void)im;
	if (email || other)
		return email && other && email_means(email, other);
	return is_same(text_of(theirs, "name"), text_of(ours, "name")) && is_same(text_of(theirs, "type"), text_of(ours, "type"));
}

static bool is_disabled(const struct cJSON *row)
{
	return text_of(row, "disabled_at") != NULL;
}

/* An actor or policy that was disabled there is disabled here. */
static bool disable(struct importer *im, const char *noun, const char *id)
{
	struct admin_request rq = request(im, noun, "disable");
	char what[100], none[UUID_STRLEN];

	give(&rq, "target", id);
	snprintf(what, sizeof(what), "  disabled");
	return act(im, &rq, what, none);
}

static bool make_actor(struct importer *im, const struct cJSON *x, char id[static UUID_STRLEN])
{
	struct admin_request rq = request(im, "actor", "add");
	const char *type = text_of(x, "type"), *email = text_of(x, "email");
	char what[600];

	give(&rq, "name", text_of(x, "name"));
	give(&rq, "email", email);
	give(&rq, "type", type);
	give(&rq, "allow-email-otp-sign-in", is_true(x, "allow_email_otp_sign_in") ? "on" : NULL);
	snprintf(what, sizeof(what), "actor '%s'%s%s", text_of(x, "name") ? text_of(x, "name") : "", email ? " " : "", email ? email : "");
	return act(im, &rq, what, id) && (!is_disabled(x) || disable(im, "actor", id));
}

static bool same_site(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *managed_by = text_of(theirs, "managed_by");

	(void)im;
	return is_same(text_of(theirs, "name"), text_of(ours, "name")) && (!managed_by || is_same(managed_by, text_of(ours, "managed_by")));
}

static bool make_site(struct importer *im, const struct cJSON *s, char id[static UUID_STRLEN])
{
	struct admin_request rq = request(im, "site", "add");
	char what[400];

	give(&rq, "name", text_of(s, "name"));
	snprintf(what, sizeof(what), "site '%s'", text_of(s, "name") ? text_of(s, "name") : "");
	return act(im, &rq, what, id);
}

static bool same_resource(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *type = text_of(theirs, "type"), *site = linked(im, text_of(theirs, "site_id"));

	if (type && strcmp(type, "internet") == 0)
		return is_same(type, text_of(ours, "type"));
	return is_same(text_of(theirs, "name"), text_of(ours, "name")) && is_same(text_of(theirs, "address"), text_of(ours, "address")) &&
	       (!site || is_same(site, text_of(ours, "site_id")));
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

/* Filters as the model writes them. NULL: cannot be read. The caller frees. */
static char *filters_of(const struct cJSON *v)
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

static bool make_resource(struct importer *im, const struct cJSON *r, char id[static UUID_STRLEN])
{
	const char *type = text_of(r, "type"), *site = linked(im, text_of(r, "site_id"));
	bool is_pool = type && strcmp(type, "static_device_pool") == 0;
	struct admin_request rq = request(im, is_pool ? "pool" : "resource", "add");
	struct json_get g = JSON_GET;
	char *filters = filters_of(json_member(&g, r, "filters"));
	char what[700];
	bool ok = false;

	snprintf(what, sizeof(what), "resource '%s' %s", text_of(r, "name") ? text_of(r, "name") : "", text_of(r, "address") ? text_of(r, "address") : "");
	give(&rq, "name", text_of(r, "name"));
	give(&rq, "description", text_of(r, "address_description"));
	if (!is_pool) {
		site = site ? site : im->o->default_site;
		give(&rq, "site", site);
		give(&rq, "address", text_of(r, "address"));
		give(&rq, "type", type);
		give(&rq, "ip-stack", text_of(r, "ip_stack"));
		give(&rq, "filter", filters && *filters ? filters : NULL);
	}
	if (!filters)
		fprintf(stderr, "%s: its filters cannot be read\n", what);
	else if (!is_pool && !site)
		fprintf(stderr, "%s: nobody says in which site it is: give --site\n", what);
	else
		ok = act(im, &rq, what, id);
	im->failed += !filters || (!is_pool && !site);
	free(filters);
	return ok;
}

static bool same_policy(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *group = linked(im, text_of(theirs, "group_id")), *resource = linked(im, text_of(theirs, "resource_id"));

	return group && *group && resource && *resource && is_same(group, text_of(ours, "group_id")) && is_same(resource, text_of(ours, "resource_id"));
}

/* Conditions as lines of the model; NULL: cannot be read. The caller frees. */
static char *conditions_of(const struct cJSON *v)
{
	struct strbuf b = { .p = NULL };
	bool ok = true;

	if (!v || json_is_null(v) || json_value_str(v))
		return strdup(v && json_value_str(v) ? json_value_str(v) : "");
	json_each(one, v) {
		struct json_get g = JSON_GET;
		const struct cJSON *values = json_array(&g, one, "values");
		const char *property = text_of(one, "property"), *operator = text_of(one, "operator");

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

static const char *name_in(const struct importer *im, const char *list, const char *id)
{
	json_each(one, list_of(im, list))
		if (id && is_same(text_of(one, "id"), id))
			return text_of(one, "name");
	return NULL;
}

static bool make_policy(struct importer *im, const struct cJSON *p, char id[static UUID_STRLEN])
{
	const char *group = linked(im, text_of(p, "group_id")), *resource = linked(im, text_of(p, "resource_id"));
	struct admin_request rq = request(im, "policy", "add");
	struct json_get g = JSON_GET;
	char *conditions = conditions_of(json_member(&g, p, "conditions"));
	bool ok = false, is_of_provider = conditions && strstr(conditions, "auth_provider_id ");
	const char *who = name_in(im, "groups", text_of(p, "group_id")), *to = name_in(im, "resources", text_of(p, "resource_id"));
	char what[700];

	snprintf(what, sizeof(what), "policy: '%s' may reach '%s'", who ? who : "", to ? to : "");
	if (!group || !resource || !conditions) {
		fprintf(stderr, "%s: %s\n", what, conditions ? "its group or resource is not here" : "its conditions cannot be read");
		im->failed++;
		free(conditions);
		return false;
	}
	give(&rq, "group", group);
	give(&rq, "resource", resource);
	give(&rq, "description", text_of(p, "description"));
	give(&rq, "condition", *conditions ? conditions : NULL);
	ok = act(im, &rq, what, id);
	/* providers have other ids here: what was meant to be narrow must not become wide */
	if (ok && is_of_provider)
		printf("  it names providers of there: check its conditions, then enable it\n");
	if (ok && (is_disabled(p) || is_of_provider))
		ok = disable(im, "policy", id);
	free(conditions);
	return ok;
}

/* ---- memberships ------------------------------------------------------------------------------------------------------------------------- */

static bool has_member(const struct cJSON *members, const char *actor)
{
	json_each(m, members)
		if (is_same(text_of(m, "id"), actor))
			return true;
	return false;
}

static bool bring_members_of(struct importer *im, const struct cJSON *group)
{
	const char *from = text_of(group, "id"), *to = linked(im, from);
	const char *type = text_of(group, "type"), *name = text_of(group, "name");
	struct cJSON *here = NULL;
	bool ok = true;

	if (!from || !to || (type && strcmp(type, "managed") == 0) || (name && strcmp(name, "Everyone") == 0))
		return true;
	if (*to) {
		here = ask_list(im, "member", "group", to);
		ok = here != NULL;
	}
	json_each(m, list_of(im, "memberships")) {
		const char *actor = is_same(text_of(m, "group_id"), from) ? linked(im, text_of(m, "actor_id")) : NULL;
		struct admin_request rq = request(im, "member", "add");
		char what[300], none[UUID_STRLEN];

		if (!ok || !actor)
			continue;
		if (*actor && has_member(here, actor)) {
			im->kept++;
			continue;
		}
		give(&rq, "group", to);
		give(&rq, "actor", actor);
		snprintf(what, sizeof(what), "member of '%s'", name ? name : "");
		(void)act(im, &rq, what, none);
	}
	json_free(here);
	return ok;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------------------------- */

int import_run(const struct cJSON *root, const struct import_options *o)
{
	struct importer im = { .o = o, .root = root };
	bool ok = bring(&im, "groups", "group", same_group, make_group) && bring(&im, "actors", "actor", same_actor, make_actor);

	json_each(group, list_of(&im, "groups"))
		ok = ok && bring_members_of(&im, group);
	ok = ok && bring(&im, "sites", "site", same_site, make_site) && bring(&im, "resources", "resource", same_resource, make_resource) &&
	     bring(&im, "policies", "policy", same_policy, make_policy);
	printf("%u %s, %u were there already, %u could not be\n", im.added, o->is_dry_run ? "would be added" : "added", im.kept, im.failed);
	free(im.link);
	return ok && im.failed == 0 ? 0 : 1;
}

int transfer_read_file(const char *path, char **text, size_t *n, char why[static TRANSFER_WHY_MAX])
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	size_t cap = 0;
	int rc = 0;

	*text = NULL;
	*n = 0;
	if (!f) {
		snprintf(why, TRANSFER_WHY_MAX, "cannot read %s", path);
		return ERR_IO;
	}
	while (!rc && !feof(f)) {
		if (cap - *n < 65536) {
			char *more = cap < TRANSFER_BYTES_MAX ? realloc(*text, cap + (1u << 20) + 1) : NULL;
			if (!more) {
				snprintf(why, TRANSFER_WHY_MAX, "%s is larger than %u MiB", path, TRANSFER_BYTES_MAX >> 20);
				rc = ERR_LIMIT;
				break;
			}
			*text = more;
			cap += 1u << 20;
		}
		*n += fread(*text + *n, 1, cap - *n, f);
		if (ferror(f)) {
			snprintf(why, TRANSFER_WHY_MAX, "cannot read %s", path);
			rc = ERR_IO;
		}
	}
	if (f != stdin)
		fclose(f);
	if (rc) {
		free(*text);
		*text = NULL;
	} else if (*text) {
		(*text)[*n] = '\0';
	}
	return rc;
}
