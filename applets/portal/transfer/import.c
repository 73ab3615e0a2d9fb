#include "applets/portal/transfer/transfer_int.h"

#include "applets/portal/admin/admin.h"
#include "applets/portal/cli.h"
#include "applets/portal/model/idna.h"
#include "applets/portal/transfer/rehearsal.h"
#include "core/base/strbuf.h"
#include "core/ip/addr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A thing of the text, and what it is here. */
struct link_up {
	const char *from;     /* its id in the text */
	char to[UUID_STRLEN]; /* its id here */
};

struct importer {
	const struct import_options *o;
	const struct cJSON *root;
	struct rehearsal *rehearsal; /* NULL: this is meant */
	struct link_up *link;
	u32 n_links, cap_links;
	u32 added, kept, failed;
};

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

static int run(const struct importer *im, const struct admin_request *rq, struct admin_reply *reply)
{
	if (!im->rehearsal)
		return cli_request(im->o->dir, rq, reply);
	admin_run(&im->rehearsal->state.portal, rq, reply);
	return 0;
}

/* What is here of a kind, as JSON (json_free()); NULL: it failed and said so. */
static struct cJSON *ask_list(const struct importer *im, const char *noun, const char *option, const char *value)
{
	struct admin_request rq = request(im, noun, "list");
	struct cJSON *out = NULL;
	struct admin_reply reply;

	give(&rq, option, value);
	if (run(im, &rq, &reply))
		return NULL;
	if (reply.status || !reply.out || json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &out))
		fputs(reply.err ? reply.err : "emberbox portal: the answer cannot be read\n", stderr);
	admin_reply_free(&reply);
	return out;
}

/* Runs it; the id of what was made in `id`. */
static bool act(struct importer *im, const struct admin_request *rq, const char *what, char id[static UUID_STRLEN])
{
	struct admin_reply reply;
	struct cJSON *root = NULL;
	bool ok;

	id[0] = '\0';
	if (run(im, rq, &reply))
		return false;
	ok = reply.status == 0;
	if (ok && reply.out && json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &root) == 0 && json_is_object(root))
		snprintf(id, UUID_STRLEN, "%s", transfer_text(root, "id") ? transfer_text(root, "id") : "");
	json_free(root);
	if (im->rehearsal)
		printf("would%s: %s\n", ok ? "" : " fail", what);
	else
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
	const char *from = transfer_text(row, "id");

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
			ok = link_to(im, theirs, transfer_text(found, "id"));
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
	return is_same(transfer_text(theirs, "name"), transfer_text(ours, "name"));
}

static bool make_group(struct importer *im, const struct cJSON *g, char id[static UUID_STRLEN])
{
	struct admin_request rq = request(im, "group", "add");
	char what[400];

	give(&rq, "name", transfer_text(g, "name"));
	snprintf(what, sizeof(what), "group '%s'", transfer_text(g, "name") ? transfer_text(g, "name") : "");
	return act(im, &rq, what, id);
}

static bool same_actor(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *email = transfer_text(theirs, "email"), *other = transfer_text(ours, "email");

	(void)im;
	if (email || other)
		return email && other && email_means(email, other);
	return is_same(transfer_text(theirs, "name"), transfer_text(ours, "name")) && is_same(transfer_text(theirs, "type"), transfer_text(ours, "type"));
}

static bool is_disabled(const struct cJSON *row)
{
	return transfer_text(row, "disabled_at") != NULL;
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
	const char *type = transfer_text(x, "type"), *email = transfer_text(x, "email");
	char what[600];

	give(&rq, "name", transfer_text(x, "name"));
	give(&rq, "email", email);
	give(&rq, "type", type);
	give(&rq, "allow-email-otp-sign-in", is_true(x, "allow_email_otp_sign_in") ? "on" : NULL);
	snprintf(what, sizeof(what), "actor '%s'%s%s", transfer_text(x, "name") ? transfer_text(x, "name") : "", email ? " " : "", email ? email : "");
	return act(im, &rq, what, id) && (!is_disabled(x) || disable(im, "actor", id));
}

static bool same_site(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *managed_by = transfer_text(theirs, "managed_by");

	(void)im;
	return is_same(transfer_text(theirs, "name"), transfer_text(ours, "name")) && (!managed_by || is_same(managed_by, transfer_text(ours, "managed_by")));
}

static bool make_site(struct importer *im, const struct cJSON *s, char id[static UUID_STRLEN])
{
	struct admin_request rq = request(im, "site", "add");
	char what[400];

	give(&rq, "name", transfer_text(s, "name"));
	snprintf(what, sizeof(what), "site '%s'", transfer_text(s, "name") ? transfer_text(s, "name") : "");
	return act(im, &rq, what, id);
}

static bool same_resource(struct importer *im, const struct cJSON *theirs, const struct cJSON *ours)
{
	const char *type = transfer_text(theirs, "type"), *site = linked(im, transfer_text(theirs, "site_id"));

	if (type && strcmp(type, "internet") == 0)
		return is_same(type, transfer_text(ours, "type"));
	return is_same(transfer_text(theirs, "name"), transfer_text(ours, "name")) && is_same(transfer_text(theirs, "address"), transfer_text(ours, "address")) &&
	       (!site || is_same(site, transfer_text(ours, "site_id")));
}

static bool make_resource(struct importer *im, const struct cJSON *r, char id[static UUID_STRLEN])
{
	const char *type = transfer_text(r, "type"), *site = linked(im, transfer_text(r, "site_id"));
	bool is_pool = type && strcmp(type, "static_device_pool") == 0;
	struct admin_request rq = request(im, is_pool ? "pool" : "resource", "add");
	struct json_get g = JSON_GET;
	char *filters = transfer_filters(json_member(&g, r, "filters"));
	char what[700];
	bool ok = false;

	snprintf(what, sizeof(what), "resource '%s' %s", transfer_text(r, "name") ? transfer_text(r, "name") : "", transfer_text(r, "address") ? transfer_text(r, "address") : "");
	give(&rq, "name", transfer_text(r, "name"));
	give(&rq, "description", transfer_text(r, "address_description"));
	if (!is_pool) {
		site = site ? site : im->o->default_site;
		give(&rq, "site", site);
		give(&rq, "address", transfer_text(r, "address"));
		give(&rq, "type", type);
		give(&rq, "ip-stack", transfer_text(r, "ip_stack"));
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
	const char *group = linked(im, transfer_text(theirs, "group_id")), *resource = linked(im, transfer_text(theirs, "resource_id"));

	return group && *group && resource && *resource && is_same(group, transfer_text(ours, "group_id")) && is_same(resource, transfer_text(ours, "resource_id"));
}

static const char *name_in(const struct importer *im, const char *list, const char *id)
{
	json_each(one, list_of(im, list))
		if (id && is_same(transfer_text(one, "id"), id))
			return transfer_text(one, "name");
	return NULL;
}

static bool make_policy(struct importer *im, const struct cJSON *p, char id[static UUID_STRLEN])
{
	const char *group = linked(im, transfer_text(p, "group_id")), *resource = linked(im, transfer_text(p, "resource_id"));
	struct admin_request rq = request(im, "policy", "add");
	struct json_get g = JSON_GET;
	char *conditions = transfer_conditions(json_member(&g, p, "conditions"));
	bool ok = false, is_of_provider = conditions && strstr(conditions, "auth_provider_id ");
	bool is_untold = im->o->is_from_api && !json_member(&g, p, "conditions");
	const char *who = name_in(im, "groups", transfer_text(p, "group_id")), *to = name_in(im, "resources", transfer_text(p, "resource_id"));
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
	give(&rq, "description", transfer_text(p, "description"));
	give(&rq, "condition", *conditions ? conditions : NULL);
	/* what was meant to be narrow must not become wide, not for a moment: providers have other ids here, and Firezone's API keeps to itself conditions,
	 * filters and what is disabled */
	give(&rq, "disabled", is_disabled(p) || is_of_provider || is_untold ? "true" : NULL);
	ok = act(im, &rq, what, id);
	if (ok && is_of_provider)
		printf("  disabled: it names providers of there; check its conditions, then enable it\n");
	else if (ok && is_untold)
		printf("  disabled: that API does not tell conditions, nor filters of resources; check both, then enable it\n");
	else if (ok && is_disabled(p))
		printf("  disabled\n");
	free(conditions);
	return ok;
}

/* ---- memberships ------------------------------------------------------------------------------------------------------------------------- */

static bool has_member(const struct cJSON *members, const char *actor)
{
	json_each(m, members)
		if (is_same(transfer_text(m, "id"), actor))
			return true;
	return false;
}

static bool bring_members_of(struct importer *im, const struct cJSON *group)
{
	const char *from = transfer_text(group, "id"), *to = linked(im, from);
	const char *type = transfer_text(group, "type"), *name = transfer_text(group, "name");
	struct cJSON *here = NULL;
	bool ok = true;

	if (!from || !to || (type && strcmp(type, "managed") == 0) || (name && strcmp(name, "Everyone") == 0))
		return true;
	if (*to) {
		here = ask_list(im, "member", "group", to);
		ok = here != NULL;
	}
	json_each(m, list_of(im, "memberships")) {
		const char *actor = is_same(transfer_text(m, "group_id"), from) ? linked(im, transfer_text(m, "actor_id")) : NULL;
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

int import_check(const struct cJSON *root, char why[static TRANSFER_WHY_MAX])
{
	static const char *const lists[] = { "actors", "groups", "memberships", "sites", "resources", "policies" };
	struct json_get g = JSON_GET;

	why[0] = '\0';
	if (!json_is_object(root)) {
		snprintf(why, TRANSFER_WHY_MAX, "a JSON object is needed");
		return ERR_INVAL;
	}
	if (json_uint_or(&g, root, "version", UINT32_MAX, TRANSFER_VERSION) > TRANSFER_VERSION) {
		snprintf(why, TRANSFER_WHY_MAX, "a newer emberbox wrote it: this one reads version %u", TRANSFER_VERSION);
		return ERR_INVAL;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (json_member(&g, root, lists[i]))
			return 0;
	snprintf(why, TRANSFER_WHY_MAX, "it has none of actors, groups, memberships, sites, resources, policies");
	return ERR_INVAL;
}

int import_run(const struct cJSON *root, const struct import_options *o)
{
	struct importer im = { .o = o, .root = root };
	struct rehearsal rehearsal;
	char why[TRANSFER_WHY_MAX];

	if (transfer_check(root, why)) {
		fprintf(stderr, "emberbox portal import: nothing is changed: %s\n", why);
		return 1;
	}
	if (o->is_dry_run && rehearsal_begin(&rehearsal, o->dir))
		return 1;
	im.rehearsal = o->is_dry_run ? &rehearsal : NULL;
	bool ok = bring(&im, "groups", "group", same_group, make_group) && bring(&im, "actors", "actor", same_actor, make_actor);

	json_each(group, list_of(&im, "groups"))
		ok = ok && bring_members_of(&im, group);
	ok = ok && bring(&im, "sites", "site", same_site, make_site) && bring(&im, "resources", "resource", same_resource, make_resource) &&
	     bring(&im, "policies", "policy", same_policy, make_policy);
	if (im.rehearsal)
		rehearsal_end(&rehearsal);
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
		snprintf(why, TRANSFER_WHY_MAX, "cannot read %s: %s", path, strerror(errno));
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
			snprintf(why, TRANSFER_WHY_MAX, "cannot read %s: %s", path, strerror(errno));
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
