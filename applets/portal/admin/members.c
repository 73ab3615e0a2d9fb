/* group set-members, pool set-members: who is in it, as a whole or by who comes and who goes.
 *
 *	names ──▶ ids (of all of them, before anything is changed) ──▶ one after another: in it, and shall be?
 *
 * What is long goes on in later turns of the loop: what is changed meanwhile by others holds, unless it was still to come. */
#include "applets/portal/admin/verbs.h"

#include "core/base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>

#define POOL_MEMBERS_MAX 4096u /* a client is told of no more (core/phoenix/messages.h) */

struct names {
	char *text; /* separated by spaces */
	const char *at;
	struct uuid *id;
	u32 n;
};

struct change_of_members {
	enum { NAMES_OF_COMERS, NAMES_OF_LEAVERS, LOOK_AT_ALL, ADD_DEVICES } phase;
	bool is_pool, is_whole; /* is_whole: who is not named goes */
	bool is_changed;	/* in a slice before this one */
	struct names come, go;
	struct uuid of;		/* the group or pool */
	u32 n_changes, at;	/* rows changed; devices looked at */
	struct strbuf result;
};

void change_of_members_free(struct change_of_members *c)
{
	if (!c)
		return;
	free(c->come.text);
	free(c->come.id);
	free(c->go.text);
	free(c->go.id);
	strbuf_free(&c->result);
	free(c);
}

char *change_of_members_result(struct change_of_members *c)
{
	char *text = NULL;

	return c && asprintf(&text, "[%s]", c->result.n ? strbuf_text(&c->result) : "") >= 0 ? text : NULL;
}

static int by_id(const void *a, const void *b)
{
	return uuid_cmp(a, b);
}

static bool is_named(const struct names *names, const struct uuid *id)
{
	return names->n > 0 && bsearch(id, names->id, names->n, sizeof(*id), by_id);
}

static int find(struct admin *a, const struct account *account, const char *word, struct uuid *out)
{
	union any_entity device;
	const void *actor;
	int rc;

	if (!a->change->is_pool) {
		rc = admin_find(a, KIND_ACTOR, account, word, &actor);
		if (!rc)
			*out = ((const struct entity *)actor)->id;
		return rc;
	}
	rc = admin_find_row(a, KIND_CLIENT, &account->e.id, word, &device);
	if (!rc) {
		*out = device.e.id;
		entity_deinit(KIND_CLIENT, &device);
	}
	return rc;
}

/* As many as a slice allows. */
static int read_names(struct admin *a, const struct account *account, struct names *names, bool is_leaving)
{
	if (!names->id) {
		names->text = admin_args_joined(a, is_leaving ? "remove" : a->change->is_whole ? "member" : "add", " ");
		names->at = names->text ? names->text : "";
		names->id = calloc(strlen(names->at) / 2 + 1, sizeof(*names->id));
		if (!names->id)
			return admin_store_failed(a, ERR_NOMEM);
	}
	while (*(names->at += strspn(names->at, " "))) {
		size_t n = strcspn(names->at, " ");
		char word[256];

		snprintf(word, sizeof(word), "%.*s", (int)MIN(n, sizeof(word) - 1), names->at);
		if (find(a, account, word, &names->id[names->n]) == 0)
			names->n++;
		else if (is_leaving) /* who is not there has left */
			a->err[0] = '\0';
		else
			return admin_fail(a, a->change->is_pool ? ERR_INVAL : ERR_NOT_FOUND, "--%s: there is no %s '%s'",
					  a->change->is_whole ? "member" : "add", a->change->is_pool ? "device" : "actor", word);
		names->at += n;
		if (admin_is_slice_over(a)) {
			a->is_to_go_on = true;
			return 0;
		}
	}
	if (a->change->is_pool && names->n > POOL_MEMBERS_MAX)
		return admin_fail(a, ERR_LIMIT, "--member: at most %u devices", POOL_MEMBERS_MAX);
	qsort(names->id, names->n, sizeof(*names->id), by_id);
	a->change->phase++;
	return 0;
}

static void note(struct change_of_members *c, const struct uuid *id)
{
	char text[UUID_STRLEN];

	strbuf_printf(&c->result, "%s\"%s\"", c->result.n ? "," : "", uuid_format(id, text));
}

static int begin_once(struct admin *a)
{
	return store_is_writing(a->portal->store) ? 0 : admin_begin(a);
}

static int remove_member(struct admin *a, enum kind k, const struct account *account, const struct uuid *id)
{
	int rc = begin_once(a);

	a->change->n_changes++;
	rc = rc ? rc : store_delete(a->portal->store, k, &account->e.id, id);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int add_actor(struct admin *a, const struct account *account, const struct uuid *actor)
{
	struct membership x = { .e = admin_new(a, account), .actor_id = *actor, .group_id = a->change->of };
	int rc = begin_once(a);

	a->change->n_changes++;
	return rc ? rc : store_insert(a->portal->store, KIND_MEMBERSHIP, &x, a->wall);
}

/* Somebody may have done it meanwhile, or deleted it. */
static int add_device(struct admin *a, const struct account *account, const struct uuid *device)
{
	struct pool_member x = { .e = admin_new(a, account), .resource_id = a->change->of, .client_id = *device };
	int rc = begin_once(a);

	a->change->n_changes++;
	rc = rc ? rc : store_insert(a->portal->store, KIND_POOL_MEMBER, &x, a->wall);
	return rc == ERR_EXISTS || rc == ERR_NOT_FOUND ? 0 : rc;
}

static bool shall_be(const struct change_of_members *c, const struct uuid *id, bool is)
{
	return is_named(&c->come, id) || (!c->is_whole && is && !is_named(&c->go, id));
}

static bool is_enough(struct admin *a, const void *entity)
{
	if (a->change->n_changes >= ADMIN_CHANGES)
		a->pause_at = 0;
	return entity ? admin_pause_after(a, entity) != 0 : admin_is_slice_over(a);
}

static int look_at_actors(struct admin *a, const struct account *account)
{
	const struct group *group = directory_get(admin_dir(a), KIND_GROUP, &account->e.id, &a->change->of);
	u32 n;
	void *const *list = directory_all(admin_dir(a), KIND_ACTOR, &account->e.id, &n);
	int rc = group ? 0 : admin_fail(a, ERR_NOT_FOUND, "the group was deleted meanwhile");

	for (u32 i = admin_resume(a, list, n); i < n && !rc; i++) {
		const struct actor *actor = list[i];
		struct uuid id;
		bool is = directory_is_member(admin_dir(a), actor, group, &id), shall = shall_be(a->change, &actor->e.id, is);

		if (is != shall)
			rc = is ? remove_member(a, KIND_MEMBERSHIP, account, &id) : add_actor(a, account, &actor->e.id);
		if (shall)
			note(a->change, &actor->e.id);
		if (is_enough(a, actor))
			break;
	}
	return rc;
}

/* First who is in it, then who is to come. */
static int look_at_devices(struct admin *a, const struct account *account)
{
	struct change_of_members *c = a->change;
	u32 n;
	void *const *list = directory_all(admin_dir(a), KIND_POOL_MEMBER, &account->e.id, &n);
	int rc = 0;

	for (u32 i = admin_resume(a, list, n); i < n && !rc; i++) {
		const struct pool_member *m = list[i];

		if (uuid_eq(&m->resource_id, &c->of) && !shall_be(c, &m->client_id, true))
			rc = remove_member(a, KIND_POOL_MEMBER, account, &m->e.id);
		else if (uuid_eq(&m->resource_id, &c->of) && !is_named(&c->come, &m->client_id))
			note(c, &m->client_id);
		if (is_enough(a, m))
			return rc;
	}
	c->phase = ADD_DEVICES;
	return rc;
}

static int add_devices(struct admin *a, const struct account *account)
{
	struct change_of_members *c = a->change;
	int rc = 0;

	for (; c->at < c->come.n && !rc && !a->is_to_go_on; c->at++) {
		if (c->at > 0 && uuid_eq(&c->come.id[c->at], &c->come.id[c->at - 1]))
			continue;
		rc = add_device(a, account, &c->come.id[c->at]);
		note(c, &c->come.id[c->at]);
		a->is_to_go_on = is_enough(a, NULL);
	}
	return rc;
}

static int change(struct admin *a, const struct account *account)
{
	struct change_of_members *c = a->change;
	int rc = 0;

	c->n_changes = 0;
	while (!rc && !a->is_to_go_on) {
		bool is_last = c->phase == (c->is_pool ? ADD_DEVICES : LOOK_AT_ALL);

		switch (c->phase) {
		case NAMES_OF_COMERS:
		case NAMES_OF_LEAVERS:
			rc = read_names(a, account, c->phase == NAMES_OF_COMERS ? &c->come : &c->go, c->phase == NAMES_OF_LEAVERS);
			break;
		case LOOK_AT_ALL:
			rc = c->is_pool ? look_at_devices(a, account) : look_at_actors(a, account);
			break;
		case ADD_DEVICES:
			rc = add_devices(a, account);
			break;
		}
		if (is_last)
			break;
	}
	if (store_is_writing(a->portal->store))
		rc = admin_end(a, rc);
	if (rc && c->is_changed) {
		char why[ADMIN_REASON_MAX];

		snprintf(why, sizeof(why), "%s", a->err);
		(void)admin_fail(a, rc, "only a part of it was changed, do it again: %s", why);
	}
	c->is_changed |= c->n_changes > 0;
	return rc;
}

static int set_members(struct admin *a, const struct account *account, const struct uuid *of, bool is_pool)
{
	if (!a->change) {
		a->change = calloc(1, sizeof(*a->change));
		if (!a->change)
			return admin_store_failed(a, ERR_NOMEM);
		a->change->is_pool = is_pool;
		a->change->is_whole = !admin_arg(a, "add") && !admin_arg(a, "remove");
		a->change->of = *of;
	}
	a->id = a->change->of;
	a->is_quiet = true;
	return change(a, account);
}

int run_group_set_members(struct admin *a)
{
	const struct account *account;
	const struct group *group;
	int rc = admin_account(a, &account);

	if (rc || a->change)
		return rc ? rc : set_members(a, account, NULL, false);
	rc = admin_find_group(a, "target", account, &group);
	if (!rc && (group->type == GROUP_MANAGED || group->idp_id))
		rc = admin_fail(a, ERR_DENIED, "the members of '%s' follow from elsewhere", group->name);
	return rc ? rc : set_members(a, account, &group->e.id, false);
}

int run_pool_set_members(struct admin *a)
{
	const struct account *account;
	const struct resource *pool;
	int rc = a->change ? admin_account(a, &account) : admin_find_pool(a, &account, &pool);

	return rc ? rc : set_members(a, account, a->change ? NULL : &pool->e.id, true);
}
