/* applets/portal/admin/rights.h: whether somebody may do a thing at all, before its values are looked at (spec 60 §1.1, §1.3).
 *
 *	operator, system   everything
 *	session            an enabled admin of the account: everything in it but what is the operator's (making and disabling accounts, their
 *	                   limits, relay tokens, the state of the serving process)
 *	API token          an enabled API client: as the noun says (all, read only, nothing)
 *	one-time link      the first admin: names the account and himself, nothing else
 */
#pragma once

#include "applets/portal/admin/verbs.h"

/* 0, or ERR_DENIED with the reason in a->err. */
int rights_check(struct admin *a, const struct verb *v) MUST_CHECK;

/* Is this actor who asks? */
bool rights_is_self(const struct admin *a, const struct uuid *actor);

/* The account of a principal who is bound to one; NULL: any. */
const struct uuid *rights_account(const struct admin *a);

/* For what only operators may; `what` completes "only the operator may ...". */
int rights_operator_only(struct admin *a, const char *what) MUST_CHECK;
