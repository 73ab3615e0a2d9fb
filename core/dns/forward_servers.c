/* Groups of servers: who is quick, who is dead, who is asked first. */
#include "core/dns/forward_int.h"

#include <stdlib.h>
#include <string.h>

#define PACE_STREAM_UNKNOWN SEC(1) /* TCP and TLS have to be set up */
#define PACE_STREAM_MIN MSEC(500)
#define PACE_STREAM_MAX SEC(2)
#define RTT_MAX SEC(10)

struct group *group_find(const struct forwarder *f, u32 key)
{
	for (u32 i = 0; i < f->n_groups; i++)
		if (f->groups[i]->key == key)
			return f->groups[i];
	return NULL;
}

static bool server_is(const struct dns_server *a, const struct dns_server *b)
{
	if (a->transport != b->transport || a->is_in_tunnel != b->is_in_tunnel)
		return false;
	return a->transport == DNS_OVER_HTTPS ? strcmp(a->url, b->url) == 0 : endpoint_eq(&a->addr, &b->addr);
}

u8 group_moved(const struct group *old, u8 server, const struct group *fresh)
{
	if (server == SERVER_NONE || server >= old->n)
		return SERVER_NONE;
	for (u32 i = 0; i < fresh->n; i++)
		if (server_is(&fresh->servers[i].conf, &old->servers[server].conf))
			return (u8)i;
	return SERVER_NONE;
}

struct group *group_new(u32 key, const struct forward_group *g, const struct group *old)
{
	struct group *fresh = calloc(1, sizeof(*fresh) + g->n * sizeof(struct server));
	if (!fresh)
		return NULL;
	fresh->key = key;
	fresh->is_ordered = g->is_ordered;
	fresh->timeout = g->timeout != 0 ? g->timeout : FORWARD_TIMEOUT;
	fresh->n = (u32)g->n;
	for (u32 i = 0; i < fresh->n; i++) {
		struct server *s = &fresh->servers[i];
		for (u32 k = 0; old && k < old->n; k++)
			if (server_is(&old->servers[k].conf, &g->servers[i]))
				*s = old->servers[k];
		s->conf = g->servers[i];
		s->conf.url[FORWARD_URL_MAX - 1] = 0;
	}
	return fresh;
}

static bool is_dead(const struct server *s)
{
	return s->failures_in_row >= FORWARD_DEAD_AFTER;
}

/* Smaller is better. */
static u64 rank(const struct group *g, const struct server *s, u32 index)
{
	u64 r = g->is_ordered ? index : s->srtt != 0 ? s->srtt : FORWARD_PACE_UNKNOWN;
	return is_dead(s) ? r + SEC(1000) : r;
}

u8 group_best(const struct group *g, u16 without)
{
	u8 best = SERVER_NONE;
	u64 best_rank = TIME_NEVER;
	for (u32 i = 0; i < g->n; i++) {
		if (without & 1u << i)
			continue;
		u64 r = rank(g, &g->servers[i], i);
		if (r < best_rank) {
			best_rank = r;
			best = (u8)i;
		}
	}
	return best;
}

u8 group_probe(struct group *g, u64 now, u8 first)
{
	for (u32 i = 0; i < g->n; i++) {
		struct server *s = &g->servers[i];
		if (i == first || now < s->probe_at || (g->is_ordered && !is_dead(s)))
			continue;
		s->probe_at = now + FORWARD_PROBE_EVERY;
		return (u8)i;
	}
	return SERVER_NONE;
}

void server_answered(struct server *s, u64 now, u64 rtt, bool is_own_transport)
{
	s->answered++;
	if (!is_own_transport)
		return; /* that TCP works tells nothing of UDP, nor the other way round */
	s->failures_in_row = 0;
	s->probe_at = now + FORWARD_PROBE_EVERY;
	rtt = MAX(MIN(rtt, RTT_MAX), (u64)1);
	if (s->srtt == 0) {
		s->srtt = rtt;
		s->rttvar = rtt / 2;
		return;
	}
	u64 off = rtt > s->srtt ? rtt - s->srtt : s->srtt - rtt;
	s->rttvar += off / 4;
	s->rttvar -= s->rttvar / 4;
	s->srtt = MAX(s->srtt - s->srtt / 8 + rtt / 8, (u64)1);
}

void server_failed(struct server *s, u64 now, u64 started)
{
	s->failed++;
	if (s->failures_in_row > 0 && started <= s->last_failure)
		return; /* of the same burst */
	s->last_failure = now;
	s->failures_in_row++;
	if (!is_dead(s))
		return;
	u32 doublings = MIN(s->failures_in_row - FORWARD_DEAD_AFTER, 6u);
	s->probe_at = now + MIN(SEC(1) << doublings, FORWARD_PROBE_EVERY);
}

void server_forget(struct server *s)
{
	s->srtt = s->rttvar = 0;
	s->failures_in_row = 0;
	s->last_failure = s->probe_at = 0;
}

static u64 clamp(u64 v, u64 low, u64 high)
{
	return MAX(MIN(v, high), low);
}

u64 server_pace(const struct server *s, enum dns_transport t)
{
	if (t == DNS_OVER_UDP)
		return s->srtt == 0 ? FORWARD_PACE_UNKNOWN
				    : clamp(s->srtt + 4 * s->rttvar, FORWARD_PACE_MIN, FORWARD_PACE_MAX);
	return s->srtt == 0 ? PACE_STREAM_UNKNOWN : clamp(3 * s->srtt + 4 * s->rttvar, PACE_STREAM_MIN, PACE_STREAM_MAX);
}

bool forwarder_server_stats(const struct forwarder *f, u32 group, u32 server, struct forward_server_stats *out)
{
	const struct group *g = group_find(f, group);
	if (!g || server >= g->n)
		return false;
	const struct server *s = &g->servers[server];
	*out = (struct forward_server_stats){ s->srtt, s->rttvar, s->failures_in_row, s->asked, s->answered, s->failed };
	return true;
}

u32 forwarder_revision(const struct forwarder *f)
{
	return f->revision;
}

bool forwarder_has_url(const struct forwarder *f, const char *url)
{
	for (u32 i = 0; i < f->n_groups; i++)
		for (u32 k = 0; k < f->groups[i]->n; k++) {
			const struct dns_server *s = &f->groups[i]->servers[k].conf;
			if (s->transport == DNS_OVER_HTTPS && strcmp(s->url, url) == 0)
				return true;
		}
	return false;
}

int forwarder_best_server(const struct forwarder *f, u32 group)
{
	const struct group *g = group_find(f, group);
	return g ? group_best(g, 0) : ERR_NOT_FOUND;
}
