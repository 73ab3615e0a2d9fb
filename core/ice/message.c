#include "core/ice/message.h"

#include "core/base/err.h"

static int read_request(struct ice_msg *m)
{
	struct span user;

	if (stun_get_text(&m->stun, ATTR_USERNAME, &user) != 0 ||
	    stun_get_u32(&m->stun, ATTR_PRIORITY, &m->priority) != 0)
		return ERR_MALFORMED;
	const u8 *colon = memchr(user.p, ':', user.n);
	if (!colon || colon + 1 == user.p + user.n)
		return ERR_MALFORMED;
	m->local_ufrag = SPAN(user.p, (size_t)(colon - user.p));
	m->remote_ufrag = SPAN(colon + 1, user.n - m->local_ufrag.n - 1);
	m->use_candidate = stun_has(&m->stun, ATTR_USE_CANDIDATE);
	return 0;
}

int ice_msg_parse(struct span datagram, struct ice_msg *m)
{
	*m = (struct ice_msg){ .is_request = false };
	if (!stun_is_likely(datagram))
		return ERR_NOT_OURS;
	int rc = stun_parse(datagram, &m->stun);
	if (rc != 0)
		return rc;
	if (m->stun.method != STUN_BINDING || m->stun.integrity == 0)
		return ERR_MALFORMED;
	if (m->stun.class == STUN_SUCCESS)
		return stun_get_address(&m->stun, ATTR_XOR_MAPPED_ADDRESS, &m->mapped) == 0 ? 0 : ERR_MALFORMED;
	if (m->stun.class != STUN_REQUEST)
		return ERR_MALFORMED;
	m->is_request = true;
	return read_request(m);
}

static struct span text(const char *s)
{
	return SPAN(s, strlen(s));
}

int ice_write_check(u8 buf[static ICE_MESSAGE_MAX], const struct ice_check *check)
{
	struct stun_builder b;
	char user[sizeof(check->local->ufrag) * 2];
	struct wr w = wr_init(user, sizeof(user));

	wr_str(&w, check->remote->ufrag);
	wr_u8(&w, ':');
	wr_str(&w, check->local->ufrag);
	stun_begin(&b, buf, ICE_MESSAGE_MAX, STUN_REQUEST, STUN_BINDING, check->txid);
	stun_put(&b, ATTR_USERNAME, wr_span(&w));
	stun_put_u64(&b, check->is_controlling ? ATTR_ICE_CONTROLLING : ATTR_ICE_CONTROLLED, check->tie_breaker);
	stun_put_u32(&b, ATTR_PRIORITY, check->priority);
	if (check->use_candidate)
		stun_put(&b, ATTR_USE_CANDIDATE, SPAN_NONE);
	stun_put_integrity(&b, text(check->remote->pwd));
	stun_put_fingerprint(&b);
	return stun_end(&b);
}

int ice_write_answer(u8 buf[static ICE_MESSAGE_MAX], const u8 txid[static STUN_TXID], const struct endpoint *mapped,
		     const char *local_pwd)
{
	struct stun_builder b;

	stun_begin(&b, buf, ICE_MESSAGE_MAX, STUN_SUCCESS, STUN_BINDING, txid);
	stun_put_xor_address(&b, ATTR_XOR_MAPPED_ADDRESS, mapped);
	stun_put_integrity(&b, text(local_pwd));
	stun_put_fingerprint(&b);
	return stun_end(&b);
}
