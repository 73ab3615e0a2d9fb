#include "core/ice/timing.h"

const struct ice_timing ice_timing_client = { 12, MSEC(250), MSEC(1500) };
const struct ice_timing ice_timing_client_idle = { 4, SEC(25), SEC(25) };
const struct ice_timing ice_timing_server = { 45, MSEC(250), SEC(15) };
const struct ice_timing ice_timing_server_idle = { 40, SEC(25), SEC(25) };

u64 ice_delay(const struct ice_timing *t, unsigned n)
{
	if (n == 0)
		return 0;
	return n > 16 ? t->max_rto : time_min(t->initial_rto << (n - 1), t->max_rto);
}

u64 history_next(const struct ice_history *h, u64 probe_since)
{
	if (probe_since == 0 || h->last_answer >= probe_since)
		return h->next_regular;
	u64 last = h->last_sent > h->last_probe ? h->last_sent : h->last_probe;
	return time_min(h->next_regular, last < probe_since ? probe_since : last + ICE_PROBE_INTERVAL);
}

void history_reschedule(struct ice_history *h, const struct ice_timing *t, u64 now)
{
	if (h->recorded == 0) {
		h->next_regular = 0;
		return;
	}
	unsigned n = MIN(h->recorded, t->max_retrans);
	if (h->unanswered > 0 && time_since(now, h->unanswered_since) > t->max_rto / 2)
		n = h->unanswered;
	h->next_regular = time_min(h->last_sent + ice_delay(t, n), now + t->max_rto);
}

void history_due_now(struct ice_history *h)
{
	h->next_regular = 0;
}

void history_sent(struct ice_history *h, const struct ice_timing *t, u64 now, const u8 txid[static ICE_TXID_RANDOM])
{
	struct ice_attempt *a = &h->kept[h->sent_count++ % ICE_ATTEMPTS_KEPT];

	*a = (struct ice_attempt){ .sent = now, .is_open = true, .is_probe = now < h->next_regular };
	memcpy(a->txid, txid, ICE_TXID_RANDOM);
	if (a->is_probe) {
		h->last_probe = now;
		return;
	}
	if (h->unanswered == 0)
		h->unanswered_since = now;
	if (h->unanswered < UINT16_MAX)
		h->unanswered++;
	if (h->recorded < UINT16_MAX)
		h->recorded++;
	h->last_sent = now;
	history_reschedule(h, t, now);
}

bool history_answered(struct ice_history *h, const struct ice_timing *t, u64 now, const u8 txid[static ICE_TXID_RANDOM])
{
	u32 first = h->sent_count > ICE_ATTEMPTS_KEPT ? h->sent_count - ICE_ATTEMPTS_KEPT : 0;
	u16 later = 0;
	u64 since = 0;

	for (u32 i = h->sent_count; i-- > first;) {
		struct ice_attempt *a = &h->kept[i % ICE_ATTEMPTS_KEPT];
		if (a->is_open && memcmp(a->txid, txid, ICE_TXID_RANDOM) == 0) {
			if (time_since(now, a->sent) > ICE_ANSWER_TTL)
				return false;
			a->is_open = false;
			if (later < h->unanswered) {
				h->unanswered = later;
				h->unanswered_since = since;
			}
			h->last_answer = now;
			h->rtt = time_since(now, a->sent);
			history_reschedule(h, t, now);
			return true;
		}
		if (!a->is_probe) {
			later++;
			since = a->sent;
		}
	}
	return false;
}

u64 history_dead_at(const struct ice_history *h, const struct ice_timing *t)
{
	if (h->unanswered < t->max_retrans)
		return TIME_NEVER;
	u64 at = h->last_sent + ice_delay(t, t->max_retrans);
	if (h->peer_check != 0 && h->peer_check + ICE_PEER_CHECK_TTL > at)
		at = h->peer_check + ICE_PEER_CHECK_TTL;
	return at;
}
