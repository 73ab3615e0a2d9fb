/* Life of an allocation (spec 20 §7.1–§7.5, §7.7): requests, answers, timers. */
#define LOG_TARGET "turn::allocation"
#include "core/base/log.h"
#include "core/crypto/key.h"
#include "core/turn/allocation_int.h"

#include <stdlib.h>

#define KEEPALIVE SEC(25) /* spec 20 §7.4: below the 30 s that NATs forget UDP after */
#define PROBE_TIMEOUT SEC(1)

/* Waiting time after each transmission: 0, 1, 2.5, 4.75 s, then give up at 8.125 s. */
static const u64 retransmit_gap[] = { MSEC(1000), MSEC(1500), MSEC(2250), MSEC(3375) };

static unsigned family_index(u8 family)
{
	return family == 4 ? 0 : 1;
}

static const struct endpoint *relay_of(const struct allocation *a, u8 family)
{
	return family == 4 ? &a->relay4 : &a->relay6;
}

static struct span text_of(const char *s)
{
	return SPAN(s, strlen(s));
}

static void push_event(struct allocation *a, struct allocation_event e)
{
	if (a->n_events == ALLOCATION_EVENTS_MAX) {
		a->stats.events_lost++;
		return;
	}
	a->events[(a->events_first + a->n_events) % ALLOCATION_EVENTS_MAX] = e;
	a->n_events++;
}

bool allocation_poll_event(struct allocation *a, struct allocation_event *out)
{
	if (a->n_events > 0) {
		*out = a->events[a->events_first];
		a->events_first = (u16)((a->events_first + 1) % ALLOCATION_EVENTS_MAX);
		a->n_events--;
		return true;
	}
	if (a->is_freed && !a->freed_is_told) {
		a->freed_is_told = true;
		*out = (struct allocation_event){ .type = ALLOCATION_FREED, .reason = a->freed_reason };
		return true;
	}
	return false;
}

/* --- requests ---------------------------------------------------------------------------------------------------------------- */

static void transmit(struct allocation *a, u64 now, struct request *r)
{
	/* BINDING keeps its id so that a late answer still counts; authenticated requests are built anew. */
	if (r->kind != REQUEST_BINDING || r->transmissions == 0) {
		rng_fill(a->rng, r->txid, sizeof(r->txid));
		r->first_sent = now;
	}
	r->due = now + (r->is_probe ? PROBE_TIMEOUT : retransmit_gap[r->transmissions]);
	r->transmissions++;
	if (!r->wants_send) {
		r->wants_send = true;
		a->n_to_send++;
	}
}

void request_start(struct allocation *a, u64 now, struct request *r, enum request_kind kind, u8 family)
{
	if (r->kind != REQUEST_NONE)
		request_end(a, r);
	*r = (struct request){ .kind = (u8)kind, .family = family, .channel = CHANNEL_NONE };
	a->n_requests++;
	transmit(a, now, r);
}

void request_end(struct allocation *a, struct request *r)
{
	if (r->wants_send)
		a->n_to_send--;
	r->kind = REQUEST_NONE;
	r->wants_send = false;
	a->n_requests--;
}

static void request_repeat(struct allocation *a, u64 now, struct request *r)
{
	r->transmissions = 0;
	r->is_probe = false;
	transmit(a, now, r);
}

static void end_all_requests(struct allocation *a)
{
	for (unsigned i = 0; i < REQUESTS_MAX; i++)
		if (a->requests[i].kind != REQUEST_NONE)
			request_end(a, &a->requests[i]);
}

static void start_life_request(struct allocation *a, u64 now, enum request_kind kind)
{
	request_start(a, now, &a->requests[SLOT_LIFE], kind, a->active->ip.family);
}

static void start_bindings(struct allocation *a, u64 now)
{
	if (a->relay4.ip.family == 4)
		request_start(a, now, &a->requests[SLOT_BINDING4], REQUEST_BINDING, 4);
	if (a->relay6.ip.family == 6)
		request_start(a, now, &a->requests[SLOT_BINDING6], REQUEST_BINDING, 6);
}

static int build_request(struct allocation *a, struct request *r)
{
	struct stun_builder b;
	u16 method = 0;

	switch ((enum request_kind)r->kind) {
	case REQUEST_NONE: return ERR_STATE;
	case REQUEST_BINDING: method = STUN_BINDING; break;
	case REQUEST_ALLOCATE: method = TURN_ALLOCATE; break;
	case REQUEST_REFRESH:
	case REQUEST_DELETE: method = TURN_REFRESH; break;
	case REQUEST_CHANNEL_BIND: method = TURN_CHANNEL_BIND; break;
	}
	stun_begin(&b, a->tx, sizeof(a->tx), STUN_REQUEST, method, r->txid);
	if (r->kind == REQUEST_ALLOCATE) {
		stun_put_transport(&b, STUN_TRANSPORT_UDP);
		stun_put_family(&b, ATTR_ADDITIONAL_FAMILY, 6);
	}
	if (r->kind == REQUEST_CHANNEL_BIND) {
		stun_put_xor_address(&b, ATTR_XOR_PEER_ADDRESS, &a->channels[r->channel].peer);
		stun_put_channel(&b, (u16)(CHANNEL_MIN + r->channel));
	}
	stun_put(&b, ATTR_SOFTWARE, SPAN_STR("snownet"));
	if (r->kind == REQUEST_DELETE)
		stun_put_u32(&b, ATTR_LIFETIME, 0);

	r->has_credentials = r->kind != REQUEST_BINDING && (a->nonce_len > 0 || !a->is_rfc_mode);
	r->has_nonce = r->has_credentials && a->nonce_len > 0;
	if (r->has_credentials) {
		stun_put(&b, ATTR_USERNAME, text_of(a->username));
		stun_put(&b, ATTR_REALM, ALLOCATION_REALM);
		if (r->has_nonce)
			stun_put(&b, ATTR_NONCE, SPAN(a->nonce, a->nonce_len));
		stun_put_integrity(&b, SPAN(a->key, sizeof(a->key)));
	}
	return stun_end(&b);
}

bool allocation_poll_transmit(struct allocation *a, u64 now, struct allocation_transmit *out)
{
	(void)now;
	for (unsigned i = 0; i < REQUESTS_MAX && a->n_to_send > 0; i++) {
		struct request *r = &a->requests[i];
		if (!r->wants_send)
			continue;
		r->wants_send = false;
		a->n_to_send--;
		int n = build_request(a, r);
		if (n < 0)
			continue; /* cannot happen: TRANSMIT_MAX holds the longest credentials */
		a->stats.tx_requests++;
		*out = (struct allocation_transmit){ .dst = *relay_of(a, r->family), .data = SPAN(a->tx, n) };
		return true;
	}
	return false;
}

/* --- life -------------------------------------------------------------------------------------------------------------------- */

struct allocation *allocation_new(const struct allocation_config *cfg, u64 now)
{
	struct allocation *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->rng = cfg->rng;
	a->relay4 = cfg->v4;
	a->relay6 = cfg->v6;
	a->is_rfc_mode = cfg->is_rfc_mode;
	a->has_credentials = true;
	a->srtt = TIME_NEVER;
	a->expires_at = a->refresh_at = TIME_NEVER;
	strncpy(a->username, cfg->username, ALLOCATION_CREDENTIAL_MAX);
	strncpy(a->password, cfg->password, ALLOCATION_CREDENTIAL_MAX);
	stun_long_term_key(text_of(a->username), ALLOCATION_REALM, text_of(a->password), a->key);
	table_init(&a->by_peer, sizeof(struct endpoint), ALLOCATION_CHANNELS_MAX, cfg->rng);
	channels_clear(a);
	start_bindings(a, now);
	return a;
}

void allocation_free(struct allocation *a)
{
	if (!a)
		return;
	table_deinit(&a->by_peer);
	free(a->channels);
	secret_wipe(a, sizeof(*a));
	free(a);
}

bool allocation_matches(const struct allocation *a, const struct allocation_config *cfg)
{
	return endpoint_eq(&a->relay4, &cfg->v4) && endpoint_eq(&a->relay6, &cfg->v6) &&
	       strcmp(a->username, cfg->username) == 0 && strlen(a->password) == strlen(cfg->password) &&
	       secret_eq(a->password, cfg->password, strlen(cfg->password));
}

bool allocation_owns(const struct allocation *a, const struct endpoint *remote)
{
	return remote->ip.family != 0 && (endpoint_eq(remote, &a->relay4) || endpoint_eq(remote, &a->relay6));
}

/* spec 20 §7.7 */
static void invalidate(struct allocation *a)
{
	for (unsigned i = 0; i < 2; i++) {
		if (a->relayed[i].ip.family == 0)
			continue;
		push_event(a, (struct allocation_event){ .type = ALLOCATION_CANDIDATE_GONE,
							 .kind = ALLOCATION_RELAY,
							 .addr = a->relayed[i],
							 .base = a->relayed[i] });
		a->relayed[i] = (struct endpoint){ 0 };
	}
	a->expires_at = a->refresh_at = TIME_NEVER;
	channels_clear(a);
	end_all_requests(a);
}

static void set_freed(struct allocation *a, enum allocation_freed reason)
{
	if (a->is_freed)
		return;
	invalidate(a);
	a->is_freed = true;
	a->freed_reason = reason;
	a->active = NULL;
}

/* Nothing under way and nothing that could start anything. */
static void free_if_hopeless(struct allocation *a)
{
	if (a->is_freed || a->n_requests > 0)
		return;
	if (!a->has_credentials)
		set_freed(a, ALLOCATION_BAD_CREDENTIALS);
	else if (!a->active)
		set_freed(a, ALLOCATION_NO_RESPONSE);
}

static void suspend(struct allocation *a)
{
	a->is_suspended = true;
	a->n_buffered = 0;
}

void allocation_refresh(struct allocation *a, u64 now)
{
	if (a->is_freed || a->requests[SLOT_LIFE].kind != REQUEST_NONE)
		return;
	if (a->is_suspended) {
		a->is_suspended = false;
		a->active = NULL;
		start_bindings(a, now);
		return;
	}
	if (!a->active)
		return; /* the first BINDINGs are out */
	struct request *r = &a->requests[SLOT_LIFE];
	start_life_request(a, now, REQUEST_REFRESH);
	r->is_probe = true;
	r->due = now + PROBE_TIMEOUT;
}

void allocation_note_sent(struct allocation *a, u64 now)
{
	a->last_sent = now;
}

/* --- answers ----------------------------------------------------------------------------------------------------------------- */

static bool is_candidate(const struct ip *ip)
{
	if (ip_is_unspecified(ip) || ip_is_multicast(ip))
		return false;
	return ip->family != 4 || !(ip_is_link_local(ip) || ip_is_broadcast(ip));
}

/* Tells a candidate that is new; the one it displaces stays valid for its holders (spec 20 §5.2). */
static void learn(struct allocation *a, struct endpoint *slot, enum allocation_candidate_kind kind, const struct endpoint *addr,
		  const struct endpoint *base)
{
	if (endpoint_eq(slot, addr) || !is_candidate(&addr->ip))
		return;
	*slot = *addr;
	push_event(a, (struct allocation_event){
			      .type = ALLOCATION_CANDIDATE, .kind = kind, .addr = *addr, .base = *base });
}

static int on_binding(struct allocation *a, u64 now, u8 family, const struct endpoint *local, const struct stun_msg *m)
{
	struct endpoint mapped;
	int rc = stun_get_address(m, ATTR_XOR_MAPPED_ADDRESS, &mapped);

	if (rc != 0)
		return ERR_MALFORMED;
	if (local->ip.family == family) {
		learn(a, &a->host[family_index(family)], ALLOCATION_HOST, local, local);
		if (mapped.ip.family == family)
			learn(a, &a->srflx[family_index(family)], ALLOCATION_SRFLX, &mapped, local);
	}
	if (a->active)
		return 0;
	a->active = relay_of(a, family);
	push_event(a, (struct allocation_event){ .type = ALLOCATION_ACTIVE, .addr = *a->active });
	start_life_request(a, now, allocation_is_live(a) ? REQUEST_REFRESH : REQUEST_ALLOCATE);
	return 0;
}

static void set_lifetime(struct allocation *a, u64 now, u32 secs)
{
	a->expires_at = now + SEC(secs);
	a->refresh_at = now + SEC(secs) / 2;
}

static int on_allocated(struct allocation *a, u64 now, const struct stun_msg *m)
{
	struct endpoint first[2] = { 0 };
	struct stun_iter it = { 0 };
	u32 secs = 0;

	while (stun_next(m, &it)) {
		struct endpoint e;
		if (it.type != ATTR_XOR_RELAYED_ADDRESS || stun_decode_address(m, &it, &e) != 0)
			continue;
		struct endpoint *slot = &first[family_index(e.ip.family)];
		if (slot->ip.family == 0)
			*slot = e;
	}
	bool has_address = first[0].ip.family != 0 || first[1].ip.family != 0;
	if (!has_address || stun_get_u32(m, ATTR_LIFETIME, &secs) != 0 || secs == 0) {
		suspend(a);
		return ERR_MALFORMED;
	}
	set_lifetime(a, now, secs);
	a->last_sent = now;
	for (unsigned i = 0; i < 2; i++)
		if (first[i].ip.family != 0)
			learn(a, &a->relayed[i], ALLOCATION_RELAY, &first[i], &first[i]);
	log_info("allocation is live", kv_ep("relay", a->active), kv_ep("relayed4", &a->relayed[0]),
		 kv_ep("relayed6", &a->relayed[1]), kv_u("lifetime_secs", secs));
	channels_flush_buffered(a, now);
	return 0;
}

static int on_refreshed(struct allocation *a, u64 now, const struct stun_msg *m)
{
	u32 secs;

	if (stun_get_u32(m, ATTR_LIFETIME, &secs) != 0)
		return ERR_MALFORMED;
	if (secs > 0 && allocation_is_live(a)) {
		set_lifetime(a, now, secs);
		return 0;
	}
	invalidate(a);
	start_life_request(a, now, REQUEST_ALLOCATE);
	return 0;
}

static int on_success(struct allocation *a, u64 now, struct request r, const struct endpoint *local, const struct stun_msg *m)
{
	switch ((enum request_kind)r.kind) {
	case REQUEST_NONE: break;
	case REQUEST_BINDING: return on_binding(a, now, r.family, local, m);
	case REQUEST_ALLOCATE: return on_allocated(a, now, m);
	case REQUEST_REFRESH:
	case REQUEST_DELETE: return on_refreshed(a, now, m);
	case REQUEST_CHANNEL_BIND: channel_confirm(a, now, r.channel); break;
	}
	return 0;
}

/* A request is over and will not be repeated: what that means for what it was about. */
static void give_up_request(struct allocation *a, const struct request *r, u16 code)
{
	switch ((enum request_kind)r->kind) {
	case REQUEST_NONE:
	case REQUEST_BINDING:
		break;
	case REQUEST_ALLOCATE:
	case REQUEST_DELETE:
		log_warn("relay refuses an allocation", kv_ep("relay", relay_of(a, r->family)), kv_u("code", code));
		suspend(a);
		break;
	case REQUEST_REFRESH:
		log_warn("relay refuses to refresh", kv_ep("relay", relay_of(a, r->family)), kv_u("code", code));
		break;
	case REQUEST_CHANNEL_BIND:
		log_debug("relay refuses a channel", kv_ep("relay", relay_of(a, r->family)), kv_u("code", code));
		channel_forget(a, r->channel);
		break;
	}
}

/* 401 and 438: takes the new nonce and repeats, or says why not (spec 20 §7.5). */
static void on_challenge(struct allocation *a, u64 now, struct request *r, u16 code, const struct stun_msg *m)
{
	struct span nonce, realm;

	if (code == STUN_UNAUTHORIZED && r->has_nonce) {
		log_warn("relay rejects our credentials", kv_ep("relay", relay_of(a, r->family)));
		a->has_credentials = false;
		invalidate(a);
		return;
	}
	bool has_nonce = stun_get_text(m, ATTR_NONCE, &nonce) == 0 && nonce.n > 0 && nonce.n <= NONCE_MAX;
	bool is_foreign = stun_get(m, ATTR_REALM, &realm) == 0 &&
			  (realm.n != ALLOCATION_REALM.n || memcmp(realm.p, ALLOCATION_REALM.p, realm.n) != 0);
	if (!has_nonce || is_foreign || ++r->challenges > CHALLENGES_MAX) {
		struct request over = *r;
		request_end(a, r);
		give_up_request(a, &over, code);
		return;
	}
	memcpy(a->nonce, nonce.p, nonce.n);
	a->nonce_len = (u16)nonce.n;
	request_repeat(a, now, r);
}

static void on_mismatch(struct allocation *a, u64 now, const struct request *r)
{
	enum request_kind kind = (enum request_kind)r->kind;
	struct endpoint peer = { 0 };

	if (kind == REQUEST_CHANNEL_BIND)
		peer = a->channels[r->channel].peer;
	invalidate(a);
	start_life_request(a, now, kind == REQUEST_ALLOCATE ? REQUEST_DELETE : REQUEST_ALLOCATE);
	if (kind == REQUEST_CHANNEL_BIND)
		channels_buffer(a, &peer);
}

static int on_error(struct allocation *a, u64 now, struct request *r, const struct stun_msg *m)
{
	u16 code;

	if (stun_get_error(m, &code, NULL) != 0)
		return ERR_MALFORMED;
	a->stats.rx_errors++;
	if (code == STUN_UNKNOWN_ATTRIBUTE) {
		set_freed(a, ALLOCATION_INCOMPATIBLE);
	} else if (r->kind != REQUEST_BINDING && (code == STUN_UNAUTHORIZED || code == STUN_STALE_NONCE)) {
		on_challenge(a, now, r, code, m);
	} else if (r->kind != REQUEST_BINDING && code == STUN_ALLOCATION_MISMATCH) {
		on_mismatch(a, now, r);
	} else {
		struct request over = *r;
		request_end(a, r);
		give_up_request(a, &over, code);
	}
	return 0;
}

static struct request *find_request(struct allocation *a, const struct stun_msg *m, const struct endpoint *remote)
{
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		struct request *r = &a->requests[i];
		if (r->kind != REQUEST_NONE && memcmp(r->txid, m->txid, STUN_TXID) == 0)
			return endpoint_eq(relay_of(a, r->family), remote) ? r : NULL;
	}
	return NULL;
}

static bool is_authentic(const struct allocation *a, const struct request *r, const struct stun_msg *m)
{
	u16 code = 0;

	if (r->kind == REQUEST_BINDING || stun_check_integrity(m, SPAN(a->key, sizeof(a->key))) == 0)
		return true;
	if (!a->is_rfc_mode || m->class != STUN_ERROR || m->integrity != 0 || stun_get_error(m, &code, NULL) != 0)
		return false;
	/* coturn checks for a forgotten allocation before it asks for credentials */
	bool is_answer_to_nobody = !r->has_credentials && (code == STUN_UNAUTHORIZED || code == STUN_ALLOCATION_MISMATCH);
	return code == STUN_STALE_NONCE || is_answer_to_nobody;
}

static void note_rtt(struct allocation *a, u64 sample)
{
	a->srtt = a->srtt == TIME_NEVER ? sample : a->srtt / 8 * 7 + sample / 8;
}

int allocation_input(struct allocation *a, u64 now, const struct endpoint *local, const struct endpoint *remote,
		     struct span datagram)
{
	struct stun_msg m;
	int rc = stun_parse(datagram, &m);

	if (rc != 0 || a->is_freed) {
		a->stats.rx_malformed += rc != 0;
		return rc != 0 ? rc : ERR_NOT_OURS;
	}
	bool is_answer = m.class == STUN_SUCCESS || m.class == STUN_ERROR;
	struct request *r = is_answer ? find_request(a, &m, remote) : NULL;
	if (!r) {
		a->stats.rx_unknown++;
		return ERR_NOT_OURS;
	}
	if (!is_authentic(a, r, &m)) {
		a->stats.rx_unsigned++;
		return ERR_AUTH;
	}
	a->stats.rx_responses++;
	note_rtt(a, time_since(now, r->first_sent));
	if (m.class == STUN_SUCCESS) {
		struct request done = *r;
		request_end(a, r);
		rc = on_success(a, now, done, local, &m);
	} else {
		rc = on_error(a, now, r, &m);
	}
	a->stats.rx_malformed += rc != 0;
	channels_start_waiting(a, now);
	free_if_hopeless(a);
	return rc;
}

/* --- time -------------------------------------------------------------------------------------------------------------------- */

/* Nobody answered in time. Silence on the socket in use means that the relay is gone. */
static void on_silence(struct allocation *a, struct request *r)
{
	u8 family = r->family;

	a->stats.timeouts++;
	if (a->active && a->active->ip.family == family) {
		log_info("relay is silent", kv_ep("relay", a->active));
		a->active = NULL;
		invalidate(a);
		return;
	}
	request_end(a, r);
}

static void requests_timeout(struct allocation *a, u64 now)
{
	for (unsigned i = 0; i < REQUESTS_MAX && a->n_requests > 0; i++) {
		struct request *r = &a->requests[i];
		if (r->kind == REQUEST_NONE || now < r->due)
			continue;
		if (r->is_probe || r->transmissions == ARRAY_LEN(retransmit_gap))
			on_silence(a, r);
		else
			transmit(a, now, r);
	}
}

static u64 keepalive_due(const struct allocation *a)
{
	bool is_wanted = a->active && allocation_is_live(a) &&
			 a->requests[family_index(a->active->ip.family)].kind == REQUEST_NONE;
	return is_wanted ? a->last_sent + KEEPALIVE : TIME_NEVER;
}

void allocation_timeout(struct allocation *a, u64 now)
{
	if (a->is_freed)
		return;
	requests_timeout(a, now);
	if (a->active && now >= a->expires_at) {
		log_info("allocation expired", kv_ep("relay", a->active));
		invalidate(a);
		start_life_request(a, now, REQUEST_ALLOCATE);
	}
	if (a->active && now >= a->refresh_at) {
		a->refresh_at = TIME_NEVER;
		if (a->requests[SLOT_LIFE].kind == REQUEST_NONE)
			start_life_request(a, now, REQUEST_REFRESH);
	}
	if (now >= keepalive_due(a)) {
		a->last_sent = now;
		request_start(a, now, &a->requests[family_index(a->active->ip.family)], REQUEST_BINDING, a->active->ip.family);
	}
	channels_timeout(a, now);
	free_if_hopeless(a);
}

u64 allocation_next_timeout(const struct allocation *a)
{
	if (a->is_freed)
		return TIME_NEVER;
	u64 next = time_min(a->expires_at, a->refresh_at);
	next = time_min(next, keepalive_due(a));
	next = time_min(next, a->channels_due);
	for (unsigned i = 0, left = a->n_requests; left > 0; i++) {
		if (a->requests[i].kind == REQUEST_NONE)
			continue;
		next = time_min(next, a->requests[i].due);
		left--;
	}
	return next;
}

/* --- what is known ----------------------------------------------------------------------------------------------------------- */

const struct endpoint *allocation_active(const struct allocation *a)
{
	return a->active;
}

const struct endpoint *allocation_relayed(const struct allocation *a, u8 family)
{
	const struct endpoint *e = &a->relayed[family_index(family)];
	return e->ip.family != 0 ? e : NULL;
}

u64 allocation_srtt(const struct allocation *a)
{
	return a->srtt;
}

bool allocation_is_freed(const struct allocation *a)
{
	return a->is_freed;
}

const struct allocation_stats *allocation_stats(const struct allocation *a)
{
	return &a->stats;
}

size_t allocation_candidates(const struct allocation *a, struct allocation_event out[static 6])
{
	static const enum allocation_candidate_kind kinds[] = { ALLOCATION_HOST, ALLOCATION_SRFLX, ALLOCATION_RELAY };
	size_t n = 0;

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct endpoint *set = k == 0 ? a->host : k == 1 ? a->srflx : a->relayed;
		for (unsigned i = 0; i < 2; i++) {
			if (set[i].ip.family == 0)
				continue;
			out[n++] = (struct allocation_event){
				.type = ALLOCATION_CANDIDATE,
				.kind = kinds[k],
				.addr = set[i],
				.base = kinds[k] == ALLOCATION_SRFLX ? a->host[i] : set[i],
			};
		}
	}
	return n;
}
