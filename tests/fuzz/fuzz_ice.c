/* An ICE agent between genuine, damaged and invented messages, candidates that come and go, and time.
 *
 * The input is a list of steps, each `op, argument, n, n bytes`. Damaged messages must be refused unless only FINGERPRINT suffered.
 */
#include "core/base/err.h"
#include "core/ice/agent.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define STEPS_MAX 64u

enum op { RAW, CHECK, ANSWER, LOCAL, REMOTE, WITHDRAW, DISCARD, TIME, PROBE, OPS };

static struct ice_agent *agent;
static struct rng_seeded rng;
static struct ice_credentials ours = { "ours", "our-password-of-22-chars" }, theirs = { "them", "their-password-22-chars" };
static struct ice_transmit sent[8]; /* our last checks */
static unsigned n_sent;
static u64 now;

static struct endpoint place(u8 which)
{
	struct endpoint e = { ip4(10, 0, which >> 4, (u8)(1 + (which & 15))), (u16)(1000 + (which & 3)) };
	if (which & 0x80)
		e.ip = (struct ip){ .b = { 0x20, 1, 0x0d, 0xb8, [15] = which }, .family = 6 };
	return e;
}

static void drain(void)
{
	struct ice_transmit t;

	for (unsigned i = 0; ice_poll_transmit(agent, &t); i++) {
		if (i > ICE_PAIRS_MAX + ICE_ANSWERS_MAX || t.len == 0 || t.len > sizeof(t.data))
			abort();
		if (t.data[0] == 0)
			sent[n_sent++ % 8] = t;
	}
	if (ice_next_timeout(agent) <= now && ice_state(agent) != ICE_NEW) {
		ice_timeout(agent, now);
		for (unsigned i = 0; ice_poll_transmit(agent, &t); i++)
			if (i > ICE_PAIRS_MAX)
				abort();
		if (ice_next_timeout(agent) <= now)
			abort(); /* would spin */
	}
}

static int input(u8 *msg, size_t n, u8 where)
{
	struct endpoint local = place((u8)(where & 0x83)), remote = place((u8)(where | 0x10));
	struct ice_msg m;

	int rc = ice_msg_parse(SPAN(msg, n), &m);
	return rc == 0 ? ice_input(agent, now, &local, &remote, &m) : rc;
}

static void damaged(u8 *msg, int len, u8 where, struct span bytes)
{
	bool is_harmful = false;

	if (len < (int)STUN_HEADER + 8)
		abort();
	for (size_t i = 1; i < bytes.n; i++) {
		size_t at = (bytes.p[0] + i) % (size_t)len;
		msg[at] ^= bytes.p[i];
		is_harmful |= bytes.p[i] != 0 && at < (size_t)len - 8;
	}
	if (input(msg, (size_t)len, where) == 0 && is_harmful)
		abort();
}

static void step(enum op op, u8 arg, struct span bytes)
{
	u8 buf[512] = { 0 };
	struct endpoint at = place(arg);
	struct candidate c = arg & 4 ? candidate_relay(&at, 0) : arg & 8 ? candidate_srflx(&at, &at) : candidate_host(&at);
	u8 txid[STUN_TXID] = { 9, arg };
	int len;

	switch (op) {
	case RAW:
		memcpy(buf, bytes.p, MIN(bytes.n, sizeof(buf)));
		(void)input(buf, MIN(bytes.n, sizeof(buf)), arg);
		break;
	case CHECK:
		len = ice_write_check(buf, &(struct ice_check){ txid, &theirs, &ours, 7, 0x6e0000ff + arg, false, arg & 0x40 });
		damaged(buf, len, arg, bytes);
		break;
	case ANSWER:
		if (n_sent > 0) {
			len = ice_write_answer(buf, sent[arg % MIN(n_sent, 8u)].data + 8, &at, theirs.pwd);
			damaged(buf, len, arg, bytes);
		}
		break;
	case LOCAL:
		(void)ice_add_local(agent, now, &c);
		break;
	case REMOTE:
		c.priority = 1000u * arg;
		(void)ice_add_remote(agent, now, &c);
		ice_add_optimistic(agent, now);
		break;
	case WITHDRAW:
		(void)ice_remove_remote(agent, now, &c);
		break;
	case DISCARD:
		(void)ice_discard_local(agent, now, c.kind, &c.addr);
		break;
	case TIME:
		now += MSEC(50) * arg;
		ice_timeout(agent, now);
		break;
	case PROBE:
		ice_set_timing(agent, now, arg & 1 ? &ice_timing_client_idle : &ice_timing_client);
		ice_probe(agent, now);
		break;
	case OPS:
		break;
	}
	drain();
	struct ice_stats s = ice_stats(agent);
	if (s.n_pairs > ICE_PAIRS_MAX || s.n_local > ICE_LOCAL_MAX || s.n_remote > ICE_REMOTE_MAX)
		abort();
	struct ice_pair_info info, before = { 0 };
	for (size_t i = 0; ice_pair_info(agent, i, &info); i++) {
		if (i > 0 && info.priority > before.priority)
			abort();
		before = info;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	now = SEC(100);
	n_sent = 0;
	rng_seeded_init(&rng, 3);
	agent = ice_new(&(struct ice_config){ size > 0 && data[0] & 1, ours, theirs, 0x123456, &ice_timing_client, &rng.rng }, now);
	if (!agent)
		abort();
	size_t at = 1;
	for (unsigned i = 0; i < STEPS_MAX && at + 3 <= size; i++) {
		size_t n = MIN((size_t)data[at + 2], size - at - 3);
		step((enum op)(data[at] % OPS), data[at + 1], SPAN(data + at + 3, n));
		at += 3 + n;
	}
	ice_free(agent);
	return 0;
}
