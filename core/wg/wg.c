#include "core/wg/wg.h"

#include "core/base/cursor.h"
#include "core/base/err.h"
#include "core/crypto/key.h"
#include "core/wg/handshake.h"
#include "core/wg/session.h"

#include <stdlib.h>

/* --- own messages and events ------------------------------------------------------------------------------------------------ */

/* Room for one message; the oldest makes way. */
static u8 *tx_push(struct wg *w, size_t len)
{
	if (w->tx_count == WG_TX_MAX) {
		w->tx_head = (u8)((w->tx_head + 1) % WG_TX_MAX);
		w->tx_count--;
		w->local->stats.tx_displaced++;
	}
	unsigned slot = (w->tx_head + w->tx_count) % WG_TX_MAX;
	w->tx_count++;
	w->tx[slot].len = (u8)len;
	return w->tx[slot].data;
}

size_t wg_poll_transmit(struct wg *w, u8 out[static WG_INITIATION_LEN])
{
	if (w->tx_count == 0)
		return 0;
	size_t len = w->tx[w->tx_head].len;
	memcpy(out, w->tx[w->tx_head].data, len);
	w->tx_head = (u8)((w->tx_head + 1) % WG_TX_MAX);
	w->tx_count--;
	return len;
}

static void raise_event(struct wg *w, enum wg_event e)
{
	w->events = (u8)(w->events | 1u << e);
}

enum wg_event wg_poll_event(struct wg *w)
{
	for (unsigned e = WG_EVENT_ESTABLISHED; e <= WG_EVENT_EXPIRED; e++) {
		if (w->events & 1u << e) {
			w->events = (u8)(w->events & ~(1u << e));
			return (enum wg_event)e;
		}
	}
	return WG_EVENT_NONE;
}

/* --- sessions --------------------------------------------------------------------------------------------------------------- */

static struct wg_session *session_find(const struct wg *w, u32 local_index)
{
	struct wg_session *s = w->ring[local_index % WG_SESSIONS];
	return s && s->local_index == local_index ? s : NULL;
}

static void session_drop(struct wg *w, unsigned slot)
{
	struct wg_session *s = w->ring[slot];
	if (!s)
		return;
	if (w->current == s)
		w->current = NULL;
	secret_wipe(s, sizeof(*s));
	free(s);
	w->ring[slot] = NULL;
}

/* A blank session under our index. It overwrites the one of 8 handshakes before in its own memory, so keys lent to jobs stay readable. */
static struct wg_session *session_make(struct wg *w, u64 now, u32 local_index, bool is_initiator, const struct wg_keys *keys)
{
	struct wg_session **slot = &w->ring[local_index % WG_SESSIONS];
	if (!*slot)
		*slot = malloc(sizeof(**slot));
	struct wg_session *s = *slot;
	if (!s)
		return NULL;
	if (w->current == s)
		w->current = NULL;
	memset(s, 0, sizeof(*s));
	s->local_index = local_index;
	s->remote_index = keys->remote_index;
	s->is_initiator = is_initiator;
	s->order = ++w->session_order;
	s->established = now;
	memcpy(s->send_key, is_initiator ? keys->initiator_to_responder : keys->responder_to_initiator, 32);
	memcpy(s->recv_key, is_initiator ? keys->responder_to_initiator : keys->initiator_to_responder, 32);
	w->last_session_at = now;
	w->last_handshake = now;
	return s;
}

static bool session_sends(const struct wg_session *s, u64 now)
{
	u64 limit = s->is_initiator ? WG_INITIATOR_SENDS : WG_REJECT_AFTER;
	return time_since(now, s->established) < limit && s->send_counter < WG_REJECT_AFTER_MESSAGES;
}

static void use_for_sending(struct wg *w, struct wg_session *s)
{
	w->current = s;
	raise_event(w, WG_EVENT_SENDABLE);
}

static void drop_expired_sessions(struct wg *w, u64 now)
{
	for (unsigned i = 0; i < WG_SESSIONS; i++) {
		if (w->ring[i] && time_since(now, w->ring[i]->established) >= WG_REJECT_AFTER)
			session_drop(w, i);
	}
}

static u32 next_index(struct wg *w)
{
	w->session8++;
	return w->conn24 << 8 | w->session8;
}

/* --- life of the tunnel -------------------------------------------------------------------------------------------------------- */

int wg_init(struct wg *w, struct wg_local *l, u64 now, u32 conn24, const u8 peer_public[static 32], const u8 psk[static 32])
{
	memset(w, 0, sizeof(*w));
	w->local = l;
	w->conn24 = conn24 & 0xffffff;
	memcpy(w->peer_public, peer_public, 32);
	memcpy(w->psk, psk, 32);
	int rc = x25519(w->static_shared, l->priv, peer_public);
	if (rc < 0) {
		secret_wipe(w, sizeof(*w));
		return rc;
	}
	wg_mac1_key(w->peer_mac1_key, peer_public);
	wg_cookie_key(w->peer_cookie_key, peer_public);
	w->initiate_at = w->keepalive_at = w->unanswered_at = TIME_NEVER;
	w->last_session_at = now;
	return 0;
}

static void forget_inflight(struct wg *w)
{
	secret_wipe(&w->inflight, sizeof(w->inflight));
	secret_wipe(&w->inflight_before, sizeof(w->inflight_before));
}

static void end_attempt(struct wg *w)
{
	w->is_attempting = false;
	w->initiate_at = TIME_NEVER;
}

static void expire(struct wg *w)
{
	for (unsigned i = 0; i < WG_SESSIONS; i++)
		session_drop(w, i);
	forget_inflight(w);
	end_attempt(w);
	secret_wipe(w->cookie, sizeof(w->cookie));
	w->cookie_until = 0;
	w->keepalive_at = w->unanswered_at = TIME_NEVER;
	w->tx_count = 0;
	w->is_expired = true;
	raise_event(w, WG_EVENT_EXPIRED);
}

void wg_deinit(struct wg *w)
{
	for (unsigned i = 0; i < WG_SESSIONS; i++)
		session_drop(w, i);
	secret_wipe(w, sizeof(*w));
}

/* --- timers that packets move (spec 20 §6.2, §6.4; the kernel's rule for passive keepalives) --------------------------------- */

static inline void on_authenticated_sent(struct wg *w)
{
	w->keepalive_at = TIME_NEVER;
	w->wants_another_keepalive = false;
}

static inline void on_authenticated_received(struct wg *w)
{
	w->unanswered_at = TIME_NEVER;
}

static inline void on_data_sent(struct wg *w, u64 now)
{
	w->current->has_sent_data = true;
	if (w->unanswered_at == TIME_NEVER)
		w->unanswered_at = now + WG_UNANSWERED;
}

static inline void on_data_received(struct wg *w, struct wg_session *s, u64 now)
{
	s->has_received_data = true;
	if (w->keepalive_at == TIME_NEVER)
		w->keepalive_at = now + WG_KEEPALIVE;
	else
		w->wants_another_keepalive = true;
}

static void send_keepalive(struct wg *w, u64 now)
{
	if (!wg_can_send(w, now))
		return;
	u8 *slot = tx_push(w, WG_KEEPALIVE_LEN);
	if (wg_seal(w, now, slot, 0) == 0)
		w->local->stats.keepalives_out++;
}

/* --- handshakes ---------------------------------------------------------------------------------------------------------------- */

static u64 jitter(struct wg *w)
{
	return rng_below(w->local->rng, WG_JITTER_MAX + 1);
}

static void send_initiation(struct wg *w, u64 now, u64 wall)
{
	struct wg_inflight hs = { 0 };
	u8 msg[WG_INITIATION_LEN];
	/* The peer's key was proven usable by wg_init(); an ephemeral cannot make it fail. */
	if (wg_make_initiation(w, now, wall, next_index(w), &hs, msg) == 0) {
		memcpy(tx_push(w, sizeof(msg)), msg, sizeof(msg));
		w->inflight_before = w->inflight;
		w->inflight = hs;
		on_authenticated_sent(w);
		w->local->stats.initiations_out++;
	}
	secret_wipe(&hs, sizeof(hs));
	w->initiate_at = now + WG_REKEY_TIMEOUT + jitter(w);
}

static void begin_attempt(struct wg *w, u64 now, u64 wall)
{
	w->is_attempting = true;
	w->attempt_started = now;
	w->unanswered_at = TIME_NEVER;
	send_initiation(w, now, wall);
}

int wg_initiate(struct wg *w, u64 now, u64 wall)
{
	if (w->is_expired || w->is_attempting)
		return ERR_STATE;
	begin_attempt(w, now, wall);
	return 0;
}

static void on_handshake_accepted(struct wg *w)
{
	on_authenticated_received(w);
	if (!w->is_established) {
		w->is_established = true;
		raise_event(w, WG_EVENT_ESTABLISHED);
	}
}

int wg_input_initiation(struct wg *w, u64 now, const struct wg_initiation *init)
{
	struct wg_initiation in = *init;
	struct wg_keys keys;
	u8 stamp[STAMP_LEN], msg[WG_RESPONSE_LEN];
	int rc = ERR_STATE;

	if (w->is_expired)
		goto out;
	rc = ERR_NOT_OURS;
	if (!secret_eq(in.peer_public, w->peer_public, 32))
		goto out;
	rc = wg_read_stamp(w, &in, stamp);
	if (rc < 0) {
		w->local->stats.bad_handshake++;
		goto out;
	}
	rc = ERR_REPLAY;
	if (memcmp(stamp, w->newest_stamp, STAMP_LEN) <= 0) {
		w->local->stats.old_stamp++;
		goto out;
	}
	u32 index = next_index(w);
	rc = wg_make_response(w, now, index, &in, &keys, msg);
	if (rc < 0) {
		w->local->stats.bad_handshake++;
		goto out;
	}
	rc = ERR_NOMEM;
	if (!session_make(w, now, index, false, &keys))
		goto out;
	memcpy(w->newest_stamp, stamp, STAMP_LEN);
	memcpy(tx_push(w, sizeof(msg)), msg, sizeof(msg));
	w->local->stats.initiations_in++;
	w->local->stats.responses_out++;
	on_handshake_accepted(w);
	on_authenticated_sent(w);
	rc = 0;
out:
	secret_wipe(&in, sizeof(in));
	secret_wipe(&keys, sizeof(keys));
	return rc;
}

static int input_response(struct wg *w, u64 now, u32 index, struct span datagram)
{
	struct wg_keys keys;
	struct wg_inflight *hs = w->inflight.is_set && w->inflight.index == index		 ? &w->inflight :
				 w->inflight_before.is_set && w->inflight_before.index == index ? &w->inflight_before :
												  NULL;
	if (!hs) {
		w->local->stats.unknown_session++;
		return ERR_NOT_FOUND;
	}
	int rc = wg_read_response(w, hs, datagram, &keys);
	if (rc < 0) {
		w->local->stats.bad_handshake++;
		goto out;
	}
	rc = ERR_NOMEM;
	struct wg_session *s = session_make(w, now, index, true, &keys);
	if (!s)
		goto out;
	forget_inflight(w);
	end_attempt(w);
	w->local->stats.responses_in++;
	on_handshake_accepted(w);
	use_for_sending(w, s);
	send_keepalive(w, now); /* the responder may send only after it (spec 20 §6.4) */
	rc = 0;
out:
	secret_wipe(&keys, sizeof(keys));
	return rc;
}

int wg_input(struct wg *w, u64 now, struct span datagram)
{
	u32 index;
	if (w->is_expired)
		return ERR_STATE;
	enum wg_type type = wg_classify(datagram, &index);
	if (type == WG_RESPONSE)
		return input_response(w, now, index, datagram);
	if (type != WG_COOKIE)
		return ERR_MALFORMED;
	int rc = wg_read_cookie(w, now, datagram);
	if (rc == 0)
		w->local->stats.cookies_in++;
	else
		w->local->stats.bad_handshake++;
	return rc;
}

/* --- data ------------------------------------------------------------------------------------------------------------------------ */

int wg_open_prepare(struct wg *w, u64 now, struct mspan datagram, struct aead_job *job)
{
	u32 index;
	if (wg_classify(SPAN(datagram.p, datagram.n), &index) != WG_DATA)
		return ERR_MALFORMED;
	struct wg_session *s = session_find(w, index);
	if (!s) {
		w->local->stats.unknown_session++;
		return ERR_NOT_FOUND;
	}
	if (time_since(now, s->established) >= WG_REJECT_AFTER) {
		w->local->stats.expired_session++;
		return ERR_EXPIRED;
	}
	job->key = s->recv_key;
	job->counter = get_le64(datagram.p + 8);
	job->data = datagram.p + WG_HEADER_LEN;
	job->len = (u32)(datagram.n - WG_HEADER_LEN - AEAD_TAG);
	job->ok = false;
	return 0;
}

/* The first packet on a session proves that the peer has it: from then on a responder sends on it too. */
static void on_session_confirmed(struct wg *w, struct wg_session *s)
{
	if (s->is_initiator || s == w->current || (w->current && w->current->order > s->order))
		return;
	end_attempt(w);
	use_for_sending(w, s);
}

int wg_open_commit(struct wg *w, u64 now, const struct aead_job *job)
{
	if (!job->ok) {
		w->local->stats.auth_failed++;
		return ERR_AUTH;
	}
	struct wg_session *s = session_find(w, get_le32(job->data - WG_HEADER_LEN + 4));
	if (!s) {
		w->local->stats.unknown_session++;
		return ERR_NOT_FOUND;
	}
	if (!wg_window_accept(&s->window, job->counter)) {
		w->local->stats.replayed++;
		return ERR_REPLAY;
	}
	on_session_confirmed(w, s);
	on_authenticated_received(w);
	if (job->len > 0)
		on_data_received(w, s, now);
	else
		w->local->stats.keepalives_in++;
	return 0;
}

int wg_open(struct wg *w, u64 now, struct mspan datagram, struct span *inner)
{
	struct aead_job job;
	int rc = wg_open_prepare(w, now, datagram, &job);
	if (rc < 0)
		return rc;
	aead_open(&job, 1);
	rc = wg_open_commit(w, now, &job);
	if (rc < 0)
		return rc;
	*inner = SPAN(job.data, job.len);
	return 0;
}

bool wg_can_send(const struct wg *w, u64 now)
{
	return w->current && session_sends(w->current, now);
}

int wg_seal_prepare(struct wg *w, u64 now, u8 *slot, u32 len, struct aead_job *job)
{
	struct wg_session *s = w->current;
	if (!s || !session_sends(s, now))
		return ERR_STATE;
	put_le32(slot, WG_DATA);
	put_le32(slot + 4, s->remote_index);
	put_le64(slot + 8, s->send_counter);
	job->key = s->send_key;
	job->counter = s->send_counter++;
	job->data = slot + WG_HEADER_LEN;
	job->len = len;
	on_authenticated_sent(w);
	if (len > 0)
		on_data_sent(w, now);
	return 0;
}

int wg_seal(struct wg *w, u64 now, u8 *slot, u32 len)
{
	struct aead_job job;
	int rc = wg_seal_prepare(w, now, slot, len, &job);
	if (rc == 0)
		aead_seal(&job, 1);
	return rc;
}

/* --- time ------------------------------------------------------------------------------------------------------------------------ */

/* When the sending session has to be renewed by us: only who initiated it does so (spec 20 §6.3). */
static u64 renewal_due(const struct wg *w)
{
	const struct wg_session *s = w->current;
	if (!s || !s->is_initiator)
		return TIME_NEVER;
	if (s->has_sent_data)
		return s->established + WG_REKEY_AFTER;
	if (s->has_received_data)
		return s->established + WG_REJECT_AFTER - WG_KEEPALIVE - WG_REKEY_TIMEOUT;
	return s->established + WG_REJECT_AFTER;
}

static u64 oldest_session_end(const struct wg *w)
{
	u64 end = TIME_NEVER;
	for (unsigned i = 0; i < WG_SESSIONS; i++) {
		if (w->ring[i])
			end = time_min(end, w->ring[i]->established + WG_REJECT_AFTER);
	}
	return end;
}

/* Initiations that the peer may still answer are kept as long as an attempt lasts. */
static u64 inflight_end(const struct wg *w)
{
	return w->inflight.is_set ? w->inflight.sent_at + WG_ATTEMPT_TIME : TIME_NEVER;
}

static u64 expiry_due(const struct wg *w)
{
	u64 due = w->last_session_at + WG_EXPIRE;
	return w->is_attempting ? time_min(due, w->attempt_started + WG_ATTEMPT_TIME) : due;
}

u64 wg_next_timeout(const struct wg *w)
{
	if (w->is_expired)
		return TIME_NEVER;
	u64 next = time_min(expiry_due(w), oldest_session_end(w));
	next = time_min(next, time_min(w->initiate_at, w->keepalive_at));
	if (!wg_is_handshaking(w))
		next = time_min(next, time_min(renewal_due(w), w->unanswered_at));
	if (!w->is_attempting)
		next = time_min(next, inflight_end(w));
	return next;
}

static void initiate_when_due(struct wg *w, u64 now, u64 wall)
{
	if (!wg_is_handshaking(w) && now >= time_min(renewal_due(w), w->unanswered_at)) {
		w->unanswered_at = TIME_NEVER;
		w->initiate_at = now + jitter(w);
	}
	if (now < w->initiate_at)
		return;
	if (w->is_attempting)
		send_initiation(w, now, wall);
	else
		begin_attempt(w, now, wall);
}

static void keepalive_when_due(struct wg *w, u64 now)
{
	if (now < w->keepalive_at)
		return;
	bool has_more = w->wants_another_keepalive;
	w->keepalive_at = TIME_NEVER;
	w->wants_another_keepalive = false;
	send_keepalive(w, now);
	if (has_more)
		w->keepalive_at = now + WG_KEEPALIVE;
}

void wg_timeout(struct wg *w, u64 now, u64 wall)
{
	if (w->is_expired)
		return;
	if (now >= expiry_due(w)) {
		expire(w);
		return;
	}
	initiate_when_due(w, now, wall);
	keepalive_when_due(w, now);
	drop_expired_sessions(w, now);
	if (!w->is_attempting && now >= inflight_end(w))
		forget_inflight(w);
}
