#include "applets/portal/admin/rights.h"

const struct uuid *rights_account(const struct admin *a)
{
	const struct principal *by = a->rq->by;

	return by && !uuid_is_null(&by->account_id) ? &by->account_id : NULL;
}

bool rights_is_self(const struct admin *a, const struct uuid *actor)
{
	const struct principal *by = a->rq->by;

	return by && !uuid_is_null(&by->actor_id) && uuid_eq(&by->actor_id, actor);
}

static bool is_unlimited(const struct principal *by)
{
	return !by || by->kind == PRINCIPAL_OPERATOR || by->kind == PRINCIPAL_SYSTEM;
}

int rights_operator_only(struct admin *a, const char *what)
{
	return is_unlimited(a->rq->by) ? 0 : admin_fail(a, ERR_DENIED, "Only the operator of this portal may %s", what);
}

/* The directory decides, not what the session believed when it began. */
static const struct actor *live_actor(const struct admin *a)
{
	const struct principal *by = a->rq->by;
	const struct actor *x = directory_get(admin_dir(a), KIND_ACTOR, &by->account_id, &by->actor_id);

	return x && !x->disabled_at ? x : NULL;
}

static int check_setup(struct admin *a, const struct verb *v, const struct actor *x)
{
	const char *target = admin_arg(a, "target");
	char self[UUID_STRLEN];

	if (v->flags & VERB_READS)
		return 0;
	if (a->noun->kind == KIND_ACCOUNT && strcmp(v->name, "update") == 0 && x->type == ACTOR_ADMIN)
		return 0;
	if (a->noun->kind == KIND_ACTOR && strcmp(v->name, "update") == 0 && target && strcmp(target, uuid_format(&x->e.id, self)) == 0)
		return 0;
	return admin_fail(a, ERR_DENIED, "This link does not allow that");
}

int rights_check(struct admin *a, const struct verb *v)
{
	const struct principal *by = a->rq->by;
	const struct actor *x;

	if (is_unlimited(by))
		return 0;
	if (v->flags & VERB_OPERATORS)
		return admin_fail(a, ERR_DENIED, "Only the operator of this portal may do that");
	x = uuid_is_null(&by->account_id) ? NULL : live_actor(a);
	if (!x)
		return admin_fail(a, ERR_DENIED, "Your account may not do that any more");
	switch (by->kind) {
	case PRINCIPAL_SESSION:
		return x->type == ACTOR_ADMIN ? 0 : admin_fail(a, ERR_DENIED, "Only admins may do that");
	case PRINCIPAL_SETUP:
		return check_setup(a, v, x);
	case PRINCIPAL_API:
		if (x->type == ACTOR_API && (a->noun->api == API_ALL || (a->noun->api == API_READS && v->flags & VERB_READS)))
			return 0;
		return admin_fail(a, ERR_DENIED, "An API client may not do that");
	case PRINCIPAL_OPERATOR:
	case PRINCIPAL_SYSTEM:
		break;
	}
	return ERR_DENIED;
}
