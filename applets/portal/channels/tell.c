/* Changes reach peers in slices (internal.h). To tell a thousand clients takes tens of milliseconds, and the loop has others to serve.
 *
 * What a commit changed is in the directory at once: whatever is judged is judged by it. What must be *said* waits in a queue for each account, numbered
 * through by h->tell_seq in the order of commits, and each peer knows up to which number it has been told. A walk brings one peer after another up to the
 * newest number: gateways before clients, so that what is revoked is revoked before somebody asks anew; last of all, what clients were allowed among
 * themselves is judged. A walk remembers ids, not positions: peers may come and go meanwhile. Who joins has its `init` from the directory and is up to
 * date; who says something in the middle of a walk is told first and answered then, so that nobody hears of the new and then of the old.
 *
 *	tell_lists(), tell_item() … ─▶ [telling: items, walk] ─ tell_slice() until its time is over ─▶ again in the loop's next turn ─▶ all told: freed
 *
 * A change in the middle of a walk is another item: who was told already is told of the rest in another round. Lists are compared with what the client was
 * told, so several changes of them are one. When an account has more than TELL_ITEMS_MAX to say, all its gateways get their `init` anew, and all its
 * clients their resources, deleted and created. */
#define LOG_TARGET "portal::tell"

#include "applets/portal/channels/internal.h"
#include "core/base/log.h"

#include <stdlib.h>

enum walker { GATEWAYS, CLIENTS, WALKERS };

static const enum msg_role role_of[WALKERS] = { [GATEWAYS] = MSG_ROLE_GATEWAY, [CLIENTS] = MSG_ROLE_CLIENT };

struct walk {
	u64 wanted; /* number of the newest item that concerns them */
	u64 told;   /* everybody is told up to here */
	u64 round;  /* what the round that is under way will have told */
	bool is_under_way, is_begun;
	struct uuid last; /* visited */
};

struct telling {
	struct uuid account_id; /* first: key */
	struct telling *next;	/* in the order in which they are served */
	struct walk walk[WALKERS];
	u64 lists;  /* newest number after which all lists must be judged anew */
	u64 judged; /* accesses between clients, up to here */
	u32 access_left;
	u32 n, cap, n_actors;
	struct tell *items; /* in order of seq */
};

static int by_account(const void *a, const void *b)
{
	return uuid_cmp(a, b);
}

void tell_init(struct hub *h)
{
	h->tellings.cmp = by_account;
}

void tell_deinit(struct hub *h)
{
	while (h->tellings.n > 0) {
		struct telling *t = index_take_at(&h->tellings, h->tellings.n - 1);
		free(t->items);
		free(t);
	}
	index_free(&h->tellings);
}

static bool is_over(const struct hub *h, u64 until)
{
	return h->cfg.clock && h->cfg.clock() >= until;
}

u64 tell_until(const struct hub *h, u64 ns)
{
	return h->cfg.clock ? h->cfg.clock() + ns : TIME_NEVER;
}

/* ---- the queue -------------------------------------------------------------------------------------------------------------------- */

static struct telling *telling_of(struct hub *h, const struct uuid *account)
{
	struct telling *t = index_find(&h->tellings, account);

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->account_id = *account;
	if (index_put(&h->tellings, t)) {
		free(t);
		return NULL;
	}
	*(h->first_telling ? &h->last_telling->next : &h->first_telling) = t;
	h->last_telling = t;
	t->judged = t->walk[GATEWAYS].told = t->walk[CLIENTS].told = h->tell_seq;
	t->lists = 0;
	return t;
}

static int add(struct hub *h, struct telling *t, const struct tell *item)
{
	if (t->n == t->cap) {
		u32 cap = t->cap * 2 + 8;
		struct tell *more = realloc(t->items, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		t->items = more;
		t->cap = cap;
	}
	t->items[t->n] = *item;
	t->items[t->n++].seq = h->tell_seq;
	return 0;
}

/* Too much to be said one by one: who was not told of an item is told of everything. */
static int give_up_details(struct hub *h, struct telling *t)
{
	h->stats.limits_reached++;
	log_warn("so much has changed that everybody is told everything anew", kv_uuid("account_id", &t->account_id), kv_u("changes", t->n));
	t->n = t->n_actors = 0;
	t->lists = t->walk[GATEWAYS].wanted = t->walk[CLIENTS].wanted = ++h->tell_seq;
	return add(h, t, &(struct tell){ .what = TELL_EVERYTHING });
}

static enum walker whom(enum tell_what what)
{
	switch (what) {
	case TELL_INIT:
	case TELL_REJECTED:
	case TELL_FILTERS:
	case TELL_REVOKED:
		return GATEWAYS;
	case TELL_CONFIG:
	case TELL_TOGGLED:
	case TELL_POOL:
	case TELL_ACTOR:
	case TELL_EVERYTHING:
		break;
	}
	return CLIENTS;
}

/* The same of the same publish, which nobody was told of yet, is said once. Only the newest are looked at: this saves work, no more. */
static bool is_known(const struct hub *h, const struct telling *t, const struct tell *item)
{
	for (u32 i = t->n; i-- > 0 && t->n - i <= TELL_LOOK_BACK && t->items[i].seq > h->publish_seq;)
		if (t->items[i].what == item->what && uuid_eq(&t->items[i].id, &item->id))
			return true;
	return false;
}

int tell_item(struct hub *h, const struct uuid *account, const struct tell *item)
{
	struct telling *t;
	u32 n;

	if (whom(item->what) == GATEWAYS && (hub_peers(h, MSG_ROLE_GATEWAY, account, &n), n == 0))
		return 0;
	t = telling_of(h, account);
	if (!t)
		return ERR_NOMEM;
	if (is_known(h, t, item))
		return 0;
	if (t->n >= TELL_ITEMS_MAX)
		return give_up_details(h, t);
	t->walk[whom(item->what)].wanted = ++h->tell_seq;
	return add(h, t, item);
}

int tell_lists(struct hub *h, const struct uuid *account)
{
	struct telling *t = telling_of(h, account);

	if (!t)
		return ERR_NOMEM;
	t->lists = t->walk[CLIENTS].wanted = ++h->tell_seq;
	return 0;
}

int tell_lists_of(struct hub *h, const struct uuid *account, const struct uuid *actor)
{
	struct telling *t = telling_of(h, account);

	if (!t)
		return ERR_NOMEM;
	if (t->n_actors >= TELL_ACTORS_MAX)
		return tell_lists(h, account);
	struct tell item = { .what = TELL_ACTOR, .id = *actor };
	if (is_known(h, t, &item))
		return 0;
	t->n_actors++;
	return tell_item(h, account, &item);
}

/* ---- who is to go ------------------------------------------------------------------------------------------------------------------ */

void tell_end(struct peer *p, const char *reason)
{
	struct hub *h = p->hub;

	if (p->ending_link)
		return;
	p->ending_reason = reason;
	p->next_ending = NULL;
	p->ending_link = h->ending_end;
	*h->ending_end = p;
	h->ending_end = &p->next_ending;
}

void tell_forget(struct peer *p)
{
	if (!p->ending_link)
		return;
	*p->ending_link = p->next_ending;
	if (p->next_ending)
		p->next_ending->ending_link = p->ending_link;
	else
		p->hub->ending_end = p->ending_link;
	p->ending_link = NULL;
}

static void end_peers(struct hub *h, u64 until)
{
	while (h->ending) {
		peer_end(h->ending, h->ending->ending_reason);
		if (is_over(h, until))
			break;
	}
}

/* ---- one peer ---------------------------------------------------------------------------------------------------------------------- */

static u32 first_after(const struct telling *t, u64 seq)
{
	u32 lo = 0, hi = t->n;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		if (t->items[mid].seq <= seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void tell_client(struct peer *p, const struct telling *t)
{
	struct uuid toggled[TELL_TOGGLED_MAX];
	u32 n_toggled = 0;
	bool is_config = false, is_list = t->lists > p->told_seq, is_all = false;

	for (u32 i = first_after(t, p->told_seq); i < t->n; i++) {
		const struct tell *item = &t->items[i];

		is_config |= item->what == TELL_CONFIG || item->what == TELL_EVERYTHING;
		is_all |= item->what == TELL_EVERYTHING || (item->what == TELL_TOGGLED && n_toggled == TELL_TOGGLED_MAX);
		is_list |= item->what == TELL_TOGGLED || (item->what == TELL_ACTOR && uuid_eq(&item->id, &p->owner_id));
		if (item->what == TELL_POOL)
			device_filters_changed(p, &item->id);
		if (item->what == TELL_TOGGLED && n_toggled < TELL_TOGGLED_MAX)
			toggled[n_toggled++] = item->id;
	}
	p->told_seq = p->hub->tell_seq;
	if (is_config)
		client_peer_config_changed(p);
	if (is_list || is_all)
		client_peer_recompute(p, toggled, is_all ? TOGGLED_ALL : n_toggled);
}

static void tell_gateway_one(struct peer *p, const struct tell *item)
{
	const struct resource *r;

	switch (item->what) {
	case TELL_INIT:
		gateway_peer_init(p);
		break;
	case TELL_EVERYTHING:
		gateway_peer_reload(p);
		break;
	case TELL_REJECTED:
		gateway_peer_reject_resource(p, &item->id);
		break;
	case TELL_FILTERS:
		r = directory_get(&p->hub->dir, KIND_RESOURCE, &p->account_id, &item->id);
		if (r)
			gateway_peer_resource_updated(p, r);
		break;
	case TELL_REVOKED:
		if (uuid_eq(&item->gateway_id, &p->id))
			gateway_peer_authorization_deleted(p, item);
		break;
	case TELL_CONFIG:
	case TELL_TOGGLED:
	case TELL_POOL:
	case TELL_ACTOR:
		break;
	}
}

/* False: its time is over, and it has not been told everything. */
static bool tell_gateway(struct peer *p, const struct telling *t, u64 until)
{
	for (u32 i = first_after(t, p->told_seq); i < t->n && p->is_registered; i++) {
		const struct tell *item = &t->items[i];
		bool is_mine = whom(item->what) == GATEWAYS || item->what == TELL_EVERYTHING;

		if (!is_mine || (item->what == TELL_REVOKED && !uuid_eq(&item->gateway_id, &p->id)))
			continue;
		p->told_seq = item->seq;
		tell_gateway_one(p, item);
		if (i + 1 < t->n && is_over(p->hub, until))
			return false;
	}
	p->told_seq = p->hub->tell_seq;
	return true;
}

static bool bring_up_to_date(struct peer *p, const struct telling *t, u64 until)
{
	if (p->told_seq >= p->hub->tell_seq)
		return true;
	if (p->role == MSG_ROLE_GATEWAY)
		return tell_gateway(p, t, until);
	tell_client(p, t);
	return true;
}

void tell_now(struct peer *p)
{
	struct telling *t;

	if (p->ending_link) {
		peer_end(p, p->ending_reason);
		return;
	}
	if (!p->is_registered || p->told_seq >= p->hub->tell_seq)
		return;
	t = index_find(&p->hub->tellings, &p->account_id);
	if (t)
		(void)bring_up_to_date(p, t, TIME_NEVER);
	else
		p->told_seq = p->hub->tell_seq;
}

/* ---- walks ------------------------------------------------------------------------------------------------------------------------- */

/* Who comes after `last`; NULL: that was all of them. */
static struct peer *next_peer(const struct hub *h, enum msg_role role, const struct uuid *account, const struct uuid *last, bool is_begun)
{
	struct peer key = { .account_id = *account };
	const struct index *x = &h->joined[role];
	u32 i;

	if (is_begun)
		key.id = *last;
	i = index_lower(x, &key);
	if (is_begun && i < x->n && x->cmp(x->at[i], &key) == 0)
		i++;
	return i < x->n ? x->at[i] : NULL;
}

/* False: its time is over. */
static bool walk_on(struct hub *h, struct telling *t, enum walker who, u64 until)
{
	struct walk *w = &t->walk[who];
	struct peer *p;

	if (!w->is_under_way)
		*w = (struct walk){ .wanted = w->wanted, .told = w->told, .round = h->tell_seq, .is_under_way = true };
	while ((p = next_peer(h, role_of[who], &t->account_id, &w->last, w->is_begun)) && uuid_eq(&p->account_id, &t->account_id)) {
		struct uuid id = p->id;
		bool is_told = bring_up_to_date(p, t, until);

		if (is_told) {
			w->last = id;
			w->is_begun = true;
		}
		if (!is_told || is_over(h, until))
			return false;
	}
	w->told = w->round;
	w->is_under_way = false;
	return true;
}

/* Nobody needs any more what everybody was told. */
static void trim(struct telling *t)
{
	u32 done = first_after(t, MIN(t->walk[GATEWAYS].told, t->walk[CLIENTS].told));

	if (done == 0)
		return;
	for (u32 i = 0; i < done; i++)
		t->n_actors -= t->items[i].what == TELL_ACTOR;
	t->n -= done;
	memmove(t->items, t->items + done, t->n * sizeof(*t->items));
}

/* True: everybody was told everything, and it is gone. */
static bool tell_account(struct hub *h, struct telling *t, u64 until)
{
	for (;;) {
		struct walk *g = &t->walk[GATEWAYS], *c = &t->walk[CLIENTS];
		enum walker who = g->wanted > g->told ? GATEWAYS : CLIENTS;

		if (t->walk[who].wanted <= t->walk[who].told)
			break;
		if (!walk_on(h, t, who, until))
			return false;
		/* who has nothing to be told is up to date */
		if (g->wanted <= g->told)
			g->told = MAX(g->told, c->told);
		trim(t);
	}
	if (t->judged < t->walk[CLIENTS].wanted) {
		t->judged = t->walk[CLIENTS].wanted;
		t->access_left = h->n_accesses;
	}
	while (t->access_left > 0) {
		t->access_left = MIN(t->access_left, h->n_accesses);
		if (t->access_left > 0)
			device_recheck_one(h, &t->account_id, --t->access_left);
		if (is_over(h, until))
			return false;
	}
	return true;
}

static void drop_first(struct hub *h)
{
	struct telling *t = h->first_telling;

	h->first_telling = t->next;
	(void)index_take(&h->tellings, t);
	free(t->items);
	free(t);
}

static void tell_relays_on(struct hub *h, u64 until)
{
	struct peer *p;

	while (h->relay_walk.is_under_way) {
		p = next_peer(h, h->relay_walk.role, &h->relay_walk.account, &h->relay_walk.last, h->relay_walk.is_begun);
		if (p) {
			h->relay_walk.account = p->account_id;
			h->relay_walk.last = p->id;
			h->relay_walk.is_begun = true;
			relays_tell(p);
		} else if (h->relay_walk.role == MSG_ROLE_CLIENT) {
			h->relay_walk = (struct relay_walk){ .is_under_way = true, .role = MSG_ROLE_GATEWAY };
		} else {
			h->relay_walk.is_under_way = false;
		}
		if (is_over(h, until))
			return;
	}
}

bool tell_is_pending(const struct hub *h)
{
	return h->ending || h->first_telling || h->relay_walk.is_under_way;
}

void tell_slice(struct hub *h, u64 until)
{
	end_peers(h, until);
	while (h->first_telling) {
		struct telling *t = h->first_telling;

		if (is_over(h, until))
			return;
		if (tell_account(h, t, until)) {
			drop_first(h);
		} else if (t->next) { /* the next one's turn */
			h->first_telling = t->next;
			h->last_telling->next = t;
			h->last_telling = t;
			t->next = NULL;
		}
	}
	tell_relays_on(h, until);
}
