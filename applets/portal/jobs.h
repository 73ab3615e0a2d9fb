/* applets/portal/jobs.h: what a serving portal does by the clock besides syncing, purging and mailing (spec 60 §11, §12).
 *
 *   every 30 minutes       limits: the account's *_limit_exceeded say what is so; admins are warned by mail, at most every LIMITS_WARNED_EVERY
 *   soon after a change    the same without mail: of actors, sites or the account itself (jobs_noted()), and once at the start
 *   Sundays at 09:00 UTC   outdated gateways: admins of accounts that want to know hear of those that are connected, at most every OUTDATED_EVERY
 *
 * A minute that the clock jumps over, or that a busy portal is late for, is made up for; what a portal missed while it did not run is not.
 * Accounts are looked at one in each turn of the loop, so that nobody waits for many of them.
 */
#pragma once

#include "applets/portal/admin/admin.h"
#include "core/loop/loop.h"

#define LIMITS_PERIOD_SECS 1800u
#define LIMITS_SOON SEC(1)	      /* many changes are one look */
#define LIMITS_WARNED_EVERY 259200ll  /* seconds: 3 days */
#define OUTDATED_EVERY 86400ll	      /* seconds */
#define JOBS_NOTED_MAX 64u	      /* accounts that changed and wait; more means all */

enum job {
	JOB_FLAGS = 1,	  /* limits */
	JOB_WARN = 2,	  /* of limits */
	JOB_OUTDATED = 4, /* gateways */
};

/* What fell due after `from` and until `to`, in seconds since 1970; a set of enum job. Pure. A clock that went back owes nothing. */
u32 jobs_due(u64 from, u64 to);

struct jobs;

/* Both borrowed; the portal's hub is needed when the loop runs. NULL: out of memory. */
struct jobs *jobs_new(struct portal *p, struct loop *l);
/* NULL is fine. */
void jobs_free(struct jobs *j);

/* Rows of a kind changed in an account (hub_news); jobs may be NULL. */
void jobs_noted(struct jobs *j, const struct uuid *account, enum kind k);
/* Nothing waits to be looked at. */
bool jobs_are_idle(const struct jobs *j);
