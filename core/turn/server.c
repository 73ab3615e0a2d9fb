/* Requests and replies of the TURN server (spec 50 §2, §4). */
#define LOG_TARGET "relay"
#include "core/turn/server_int.h"

#include "core/base/log.h"
#include "core/crypto/key.h"


/* --- replies ----------------------------------------------------------------------------------------------------------------- */

static struct span text_of(const char *s)
{
	return SPAN(s, strlen(s));
}

static void reply_begin(const struct turn_server *s, const struct turn_request *r, enum stun_class class, struct stun_builder *b,
			u8 *buf, size_t cap)
{
	stun_begin(b, buf, cap, class, r->m->method, r->m->txid);
	stun_put(b, ATTR_SOFTWARE, text_of(s->software));
}

static void reply_send(struct turn_server *s, const struct turn_request *r, const u8 *buf, int n)
{
	if (n > 0)
		send_message(s, NULL, &r->local, &r->client, buf, (size_t)n);
}

/* Signs where there is a key. */
static int reply_end(const struct turn_request *r, struct stun_builder *b)
{
	if (r->has_key)
		stun_put_integrity(b, SPAN(r->key, STUN_KEY));
	return stun_end(b);
}

int build_challenge(const struct turn_server *s, const struct turn_request *r, int code, const char *nonce, u8 *buf, size_t cap)
{
	struct stun_builder b;

	reply_begin(s, r, STUN_ERROR, &b, buf, cap);
	stun_put_error(&b, (enum stun_error_code)code);
	stun_put(&b, ATTR_REALM, text_of(s->realm));
	stun_put(&b, ATTR_NONCE, text_of(nonce));
	return reply_end(r, &b);
}

static void reply_error(struct turn_server *s, const struct turn_request *r, int code)
{
	u8 *buf = arena_reserve(s);
	char nonce[NONCE_TEXT + 1];
	int n;

	s->stats.tx_errors++;
	log_debug("request refused", kv_ep("client", &r->client), kv_u("method", r->m->method), kv_u("code", code));
	if (code == STUN_UNAUTHORIZED || code == STUN_STALE_NONCE) {
		auth_nonce(s, &r->client, r->now, nonce);
		n = build_challenge(s, r, code, nonce, buf, REPLY_MAX);
	} else {
		struct stun_builder b;
		reply_begin(s, r, STUN_ERROR, &b, buf, REPLY_MAX);
		stun_put_error(&b, (enum stun_error_code)code);
		n = reply_end(r, &b);
	}
	reply_send(s, r, buf, n);
}

/* A success with nothing in it but SOFTWARE and the signature. */
static void reply_plain(struct turn_server *s, const struct turn_request *r)
{
	u8 *buf = arena_reserve(s);
	struct stun_builder b;

	s->stats.tx_successes++;
	reply_begin(s, r, STUN_SUCCESS, &b, buf, REPLY_MAX);
	reply_send(s, r, buf, reply_end(r, &b));
}

static void reply_lifetime(struct turn_server *s, const struct turn_request *r, u32 lifetime)
{
	u8 *buf = arena_reserve(s);
	struct stun_builder b;

	s->stats.tx_successes++;
	reply_begin(s, r, STUN_SUCCESS, &b, buf, REPLY_MAX);
	stun_put_u32(&b, ATTR_LIFETIME, lifetime);
	reply_send(s, r, buf, reply_end(r, &b));
}

static void reply_allocated(struct turn_server *s, const struct turn_request *r, const struct turn_alloc *a, u32 lifetime)
{
	u8 *buf = arena_reserve(s);
	struct stun_builder b;
	struct endpoint relayed4 = { s->public4, a->port }, relayed6 = { s->public6, a->port };

	s->stats.tx_successes++;
	reply_begin(s, r, STUN_SUCCESS, &b, buf, REPLY_MAX);
	if (a->has4)
		stun_put_xor_address(&b, ATTR_XOR_RELAYED_ADDRESS, &relayed4);
	if (a->has6)
		stun_put_xor_address(&b, ATTR_XOR_RELAYED_ADDRESS, &relayed6);
	stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, &r->client);
	stun_put_u32(&b, ATTR_LIFETIME, lifetime);
	reply_send(s, r, buf, reply_end(r, &b));
}

static void on_binding(struct turn_server *s, const struct turn_request *r)
{
	u8 *buf = arena_reserve(s);
	struct stun_builder b;

	s->stats.rx_bindings++;
	s->stats.tx_successes++;
	reply_begin(s, r, STUN_SUCCESS, &b, buf, REPLY_MAX);
	stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, &r->client);
	reply_send(s, r, buf, stun_end(&b));
}

/* --- checks before authentication (spec 50 §2.10) ------------------------------------------------------------------------------- */

static bool is_text_valid(const struct stun_msg *m, enum stun_attr type)
{
	struct span text;
	int rc = stun_get_text(m, type, &text);
	return rc == 0 || rc == ERR_NOT_FOUND;
}

static bool is_family_valid(const struct stun_msg *m, enum stun_attr type)
{
	u8 family;
	int rc = stun_get_family(m, type, &family);
	return rc == 0 || rc == ERR_NOT_FOUND;
}

static bool is_word_valid(const struct stun_msg *m, enum stun_attr type)
{
	u32 v;
	int rc = stun_get_u32(m, type, &v);
	return rc == 0 || rc == ERR_NOT_FOUND;
}

static bool is_channel_valid(const struct turn_server *s, const struct stun_msg *m)
{
	u16 number;
	int rc = stun_get_channel(m, &number);
	return rc == ERR_NOT_FOUND || (rc == 0 && number >= CHANNEL_MIN && number <= s->channel_max);
}

/* Every attribute that we know must be well formed, whatever the method. */
static bool is_well_formed(const struct turn_server *s, const struct stun_msg *m)
{
	struct stun_iter it = { 0 };
	struct endpoint e;

	while (stun_next(m, &it)) {
		bool is_address = it.type == ATTR_XOR_PEER_ADDRESS || it.type == ATTR_XOR_RELAYED_ADDRESS ||
				  it.type == ATTR_XOR_MAPPED_ADDRESS;
		if (is_address && stun_decode_address(m, &it, &e) != 0)
			return false;
		if (it.type == ATTR_MESSAGE_INTEGRITY && it.value.n != STUN_INTEGRITY)
			return false;
	}
	return is_text_valid(m, ATTR_USERNAME) && is_text_valid(m, ATTR_REALM) && is_text_valid(m, ATTR_NONCE) &&
	       is_text_valid(m, ATTR_SOFTWARE) && is_family_valid(m, ATTR_REQUESTED_FAMILY) &&
	       is_family_valid(m, ATTR_ADDITIONAL_FAMILY) && is_word_valid(m, ATTR_LIFETIME) &&
	       is_word_valid(m, ATTR_REQUESTED_TRANSPORT) && is_channel_valid(s, m);
}

static bool has_mandatory(const struct turn_server *s, const struct stun_msg *m)
{
	switch (m->method) {
	case TURN_ALLOCATE: return stun_has(m, ATTR_REQUESTED_TRANSPORT);
	case TURN_CHANNEL_BIND: return stun_has(m, ATTR_CHANNEL_NUMBER) && stun_has(m, ATTR_XOR_PEER_ADDRESS);
	case TURN_CREATE_PERMISSION: return s->rules == TURN_RULES_FIREZONE || stun_has(m, ATTR_XOR_PEER_ADDRESS);
	case TURN_REFRESH: return true;
	}
	return false; /* unknown method */
}

/* --- requests ---------------------------------------------------------------------------------------------------------------- */

static u32 lifetime_of(const struct stun_msg *m)
{
	u32 lifetime;
	return stun_get_u32(m, ATTR_LIFETIME, &lifetime) == 0 ? MIN(lifetime, LIFETIME_MAX) : LIFETIME_DEFAULT;
}

/* The table of spec 50 §4.2; 0 or an error code. */
static int families_of(const struct turn_server *s, const struct stun_msg *m, bool *has4, bool *has6)
{
	u8 requested = 0, additional = 0;
	bool serves4 = s->public4.family == 4, serves6 = s->public6.family == 6;

	(void)stun_get_family(m, ATTR_REQUESTED_FAMILY, &requested);
	(void)stun_get_family(m, ATTR_ADDITIONAL_FAMILY, &additional);
	if (additional == 4 || (requested != 0 && additional != 0))
		return STUN_BAD_REQUEST;
	*has4 = serves4 && requested != 6;
	*has6 = serves6 && (requested == 6 || additional == 6);
	return *has4 || *has6 ? 0 : STUN_FAMILY_NOT_SUPPORTED;
}

static bool is_same_user(const struct turn_alloc *a, const struct turn_request *r)
{
	return a->user.a == r->user.a && a->user.b == r->user.b;
}

static bool is_quota_reached(const struct turn_server *s, const struct turn_request *r)
{
	u32 n = 0;

	if (s->user_quota == 0 || !s->has_many_per_user)
		return false;
	for (struct turn_alloc *a = alloc_of_user(s, &r->user); a && n < s->user_quota; a = a->user_next)
		n++;
	return n >= s->user_quota;
}

static int on_allocate(struct turn_server *s, const struct turn_request *r, struct turn_alloc *a)
{
	u8 protocol = 0;
	bool has4, has6;
	u32 lifetime = lifetime_of(r->m);

	if (a && s->rules == TURN_RULES_RFC && memcmp(a->txid, r->m->txid, STUN_TXID) == 0) {
		reply_allocated(s, r, a, (u32)(time_since(a->expires, r->now) / NSEC_PER_SEC));
		return 0;
	}
	if (a)
		return STUN_ALLOCATION_MISMATCH;
	if (alloc_ports_exhausted(s))
		return STUN_INSUFFICIENT_CAPACITY;
	(void)stun_get_transport(r->m, &protocol);
	if (protocol != STUN_TRANSPORT_UDP)
		return STUN_BAD_REQUEST;
	int rc = families_of(s, r->m, &has4, &has6);
	if (rc != 0)
		return rc;
	if (is_quota_reached(s, r))
		return STUN_QUOTA_REACHED;
	struct turn_alloc *former = s->has_many_per_user ? NULL : alloc_of_user(s, &r->user);
	if (former)
		alloc_delete(s, former, "same user elsewhere");
	rc = alloc_create(s, r, has4, has6, lifetime, &a);
	if (rc != 0)
		return rc;
	reply_allocated(s, r, a, lifetime);
	return 0;
}

static int on_refresh(struct turn_server *s, const struct turn_request *r, struct turn_alloc *a)
{
	u32 lifetime = lifetime_of(r->m);

	if (!a)
		return STUN_ALLOCATION_MISMATCH;
	if (lifetime == 0)
		alloc_delete(s, a, "client is done");
	else
		alloc_set_lifetime(s, a, r->now, lifetime);
	reply_lifetime(s, r, lifetime);
	return 0;
}

static bool is_peer_allowed(const struct turn_server *s, const struct ip *ip)
{
	if (s->rules == TURN_RULES_FIREZONE)
		return true;
	if (ip_is_unspecified(ip) || ip_is_multicast(ip) || ip_is_broadcast(ip))
		return false;
	return s->allows_loopback_peers || !ip_is_loopback(ip);
}

static bool has_family(const struct turn_alloc *a, const struct ip *ip)
{
	return ip_is_v4(ip) ? a->has4 : a->has6;
}

static int on_channel_bind(struct turn_server *s, const struct turn_request *r, struct turn_alloc *a)
{
	struct endpoint peer;
	u16 number;

	if (!a)
		return STUN_ALLOCATION_MISMATCH;
	if (stun_get_address(r->m, ATTR_XOR_PEER_ADDRESS, &peer) != 0 || stun_get_channel(r->m, &number) != 0)
		return STUN_BAD_REQUEST;
	if (!has_family(a, &peer.ip))
		return STUN_PEER_FAMILY_MISMATCH;
	if (!is_peer_allowed(s, &peer.ip))
		return STUN_FORBIDDEN;
	struct turn_channel *of_peer = channel_by_peer(s, a, &peer);
	struct turn_channel *of_number = channel_by_number(s, a, number);
	if (of_peer != of_number)
		return STUN_BAD_REQUEST; /* either is taken by another pairing, bound or cooling down */
	if (of_peer) {
		channel_bind(s, of_peer, r->now);
		log_info("channel refreshed", kv_ep("client", &a->client), kv_u("channel", number), kv_ep("peer", &peer));
	} else {
		int rc = channel_create(s, a, number, &peer, r->now);
		if (rc != 0)
			return rc;
		log_info("channel bound", kv_ep("client", &a->client), kv_u("channel", number), kv_ep("peer", &peer));
	}
	if (s->rules == TURN_RULES_RFC)
		(void)permission_grant(s, a, &peer.ip, r->now); /* the channel itself is permission enough for its peer */
	reply_plain(s, r);
	return 0;
}

static int on_create_permission(struct turn_server *s, const struct turn_request *r, struct turn_alloc *a)
{
	struct stun_iter it = { 0 };
	struct endpoint peer;

	if (s->rules == TURN_RULES_FIREZONE) { /* D2 */
		reply_plain(s, r);
		return 0;
	}
	if (!a)
		return STUN_ALLOCATION_MISMATCH;
	while (stun_next(r->m, &it)) { /* all or nothing */
		if (it.type != ATTR_XOR_PEER_ADDRESS || stun_decode_address(r->m, &it, &peer) != 0)
			continue;
		if (!has_family(a, &peer.ip))
			return STUN_PEER_FAMILY_MISMATCH;
		if (!is_peer_allowed(s, &peer.ip))
			return STUN_FORBIDDEN;
	}
	it = (struct stun_iter){ 0 };
	while (stun_next(r->m, &it)) {
		if (it.type != ATTR_XOR_PEER_ADDRESS || stun_decode_address(r->m, &it, &peer) != 0)
			continue;
		int rc = permission_grant(s, a, &peer.ip, r->now);
		if (rc != 0)
			return rc;
	}
	reply_plain(s, r);
	return 0;
}

static void on_request(struct turn_server *s, struct turn_request *r)
{
	s->stats.rx_requests++;
	if (!is_well_formed(s, r->m)) {
		reply_error(s, r, STUN_BAD_REQUEST);
		return;
	}
	if (r->m->method == STUN_BINDING) {
		on_binding(s, r);
		return;
	}
	if (!has_mandatory(s, r->m)) {
		reply_error(s, r, STUN_BAD_REQUEST);
		return;
	}
	int code = auth_check(s, r);
	if (code == 0) {
		struct turn_alloc *a = alloc_of_client(s, &r->client);
		if (a && s->rules == TURN_RULES_RFC && !is_same_user(a, r))
			code = STUN_WRONG_CREDENTIALS;
		else if (r->m->method == TURN_ALLOCATE)
			code = on_allocate(s, r, a);
		else if (r->m->method == TURN_REFRESH)
			code = on_refresh(s, r, a);
		else if (r->m->method == TURN_CHANNEL_BIND)
			code = on_channel_bind(s, r, a);
		else
			code = on_create_permission(s, r, a);
	}
	if (code != 0) {
		s->stats.capacity_refused += code == STUN_INSUFFICIENT_CAPACITY || code == STUN_QUOTA_REACHED;
		reply_error(s, r, code);
	}
	secret_wipe(r->key, sizeof(r->key));
}

/* --- indications (RFC rules only) ------------------------------------------------------------------------------------------------ */

static void on_send(struct turn_server *s, const struct turn_request *r, struct mspan d)
{
	struct turn_alloc *a = alloc_of_client(s, &r->client);
	struct endpoint peer;
	struct span data;

	if (!a || stun_get_address(r->m, ATTR_XOR_PEER_ADDRESS, &peer) != 0 || stun_get(r->m, ATTR_DATA, &data) != 0 ||
	    !has_family(a, &peer.ip) || !is_peer_allowed(s, &peer.ip) || !permission_holds(s, a, &peer.ip, r->now)) {
		s->stats.rx_forbidden++;
		return;
	}
	data_to_peer(s, a, r->now, &peer, d.p + (data.p - d.p), data.n);
}

void handle_stun(struct turn_server *s, u64 now, u64 wall, const struct endpoint *client, const struct ip *local, struct mspan d)
{
	struct stun_msg m;
	struct turn_request r = { .m = &m, .client = *client, .local = *local, .now = now, .wall = wall };
	int rc = stun_parse(SPAN(d.p, d.n), &m);

	if (rc == ERR_NOT_OURS) {
		s->stats.rx_garbage++;
		return;
	}
	if (m.class == STUN_INDICATION && rc == 0 && m.method == TURN_SEND && s->rules == TURN_RULES_RFC) {
		on_send(s, &r, d);
		return;
	}
	if (m.class != STUN_REQUEST) {
		s->stats.rx_unsupported++;
		return;
	}
	if (rc != 0) {
		s->stats.rx_requests++;
		reply_error(s, &r, STUN_BAD_REQUEST);
		return;
	}
	on_request(s, &r);
}
