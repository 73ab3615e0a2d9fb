/* The address translation of a gateway against a model too simple to be wrong (spec 40 §16.1). */
#include "tests/unit/nat_world.h"

#define MODEL_MAX 4096

struct model_session {
	enum { NOT, LIVE, EXPIRED } state;
	u8 kind;
	unsigned proxy, real;
	u16 in_port, out_port;
	u64 last_out, last_in;
	bool is_confirmed, fin_out, fin_in, rst;
};

static struct model_session model[MODEL_MAX];

static u64 model_end(const struct model_session *m)
{
	u64 last = m->last_in > m->last_out ? m->last_in : m->last_out;
	u64 at = last + SEC(m->kind == 0 ? 7440 : 120);
	if (!m->is_confirmed && m->last_out + SEC(60) < at)
		at = m->last_out + SEC(60);
	if (m->fin_out && m->fin_in && last + SEC(5) < at)
		at = last + SEC(5);
	return m->rst ? last : at;
}

static struct model_session *model_outside(u8 kind, unsigned real, u16 port)
{
	for (unsigned i = 0; i < MODEL_MAX; i++)
		if (model[i].state != NOT && model[i].kind == kind && model[i].real == real && model[i].out_port == port)
			return &model[i];
	return NULL;
}

static struct model_session *model_out(u8 kind, unsigned proxy, u16 port, unsigned real)
{
	struct model_session *slot = NULL;
	for (unsigned i = 0; i < MODEL_MAX; i++) {
		struct model_session *m = &model[i];
		if (m->state == LIVE && m->kind == kind && m->proxy == proxy && m->in_port == port)
			return m;
	}
	u16 p = port;
	while ((slot = model_outside(kind, real, p)) && slot->state == LIVE)
		p = p == 65535 ? 1 : (u16)(p + 1);
	for (unsigned i = 0; i < MODEL_MAX && !slot; i++)
		if (model[i].state == NOT)
			slot = &model[i];
	*slot = (struct model_session){ .state = LIVE, .kind = kind, .proxy = proxy, .real = real, .in_port = port, .out_port = p };
	return NULL;
}

static void model_tick(void)
{
	for (unsigned i = 0; i < MODEL_MAX; i++)
		if (model[i].state == LIVE && model_end(&model[i]) <= now)
			model[i].state = EXPIRED;
}

static struct ip proxy_ip(unsigned n)
{
	struct ip ip = ip_of(n % 2 ? "fd00:2021:1111:8000::" : "100.96.0.0");
	ip.b[n % 2 ? 15 : 3] = (u8)n;
	return ip;
}

static struct ip real_ip(unsigned n)
{
	struct ip ip = ip_of(n % 2 ? "2001:db8::" : "10.0.0.0");
	ip.b[n % 2 ? 15 : 3] = (u8)n;
	return ip;
}

static struct inner_spec model_packet(u8 kind, struct ip src, struct ip dst, u16 client_port, bool is_out, u8 flags)
{
	static const u8 protos[] = { TCP, UDP };
	bool is_v6 = src.family == 6;
	struct inner_spec s = { .src = src, .dst = dst, .payload = "0123456789", .payload_len = 10, .tcp_flags = flags };
	if (kind == 2) {
		s.proto = is_v6 ? ECHO6 : ECHO4;
		s.sport = (u16)((is_v6 ? (is_out ? 128 : 129) : is_out ? 8 : 0) << 8);
		s.dport = client_port;
	} else {
		s.proto = protos[kind];
		s.sport = is_out ? client_port : 443;
		s.dport = is_out ? 443 : client_port;
	}
	return s;
}

static void model_step(unsigned n_ports)
{
	static const u8 flag_choice[] = { TCP_ACK, TCP_ACK, TCP_ACK, TCP_ACK, TCP_ACK, TCP_FIN | TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST };
	u8 kind = (u8)rng_below(&rng.rng, 3);
	u8 flags = kind == 0 ? flag_choice[rng_below(&rng.rng, 8)] : 0;
	u16 port = (u16)(65530 + rng_below(&rng.rng, n_ports));
	unsigned proxy = (unsigned)rng_below(&rng.rng, 12);
	struct ip client = ip_of(proxy % 2 ? "fd00:2021:1111::2:1" : "100.64.2.1");
	bool is_out = rng_below(&rng.rng, 2);

	if (port == 0)
		port = 1;
	if (is_out) {
		unsigned real = (unsigned)rng_below(&rng.rng, 3) * 2 + proxy % 2;
		struct inner_spec s = model_packet(kind, client, proxy_ip(proxy), port, true, flags);
		char text[IP_STRLEN];
		struct ip to = real_ip(real);
		struct model_session *m = model_out(kind, proxy, port, real);
		bool is_new = !m;
		for (unsigned i = 0; i < MODEL_MAX && !m; i++)
			if (model[i].state == LIVE && model[i].kind == kind && model[i].proxy == proxy && model[i].in_port == port)
				m = &model[i];
		m->last_out = now;
		if (!is_new) {
			m->fin_out |= (flags & TCP_FIN) != 0;
			m->rst |= (flags & TCP_RST) != 0;
		}
		EXPECT_EQ(out_spec(&s, ip_format(&to, text)), NAT_DONE);
		struct inner_spec after = model_packet(kind, client, real_ip(m->real), m->out_port, true, flags);
		(void)is_now(&after);
		return;
	}
	unsigned real = (unsigned)rng_below(&rng.rng, 6);
	client = ip_of(real % 2 ? "fd00:2021:1111::2:1" : "100.64.2.1");
	struct model_session *m = model_outside(kind, real, port);
	struct inner_spec s = model_packet(kind, real_ip(real), client, port, false, flags);
	enum nat_result expected = !m ? NAT_NONE : m->state == LIVE ? NAT_DONE : NAT_EXPIRED;
	EXPECT_EQ(in_spec(&s), expected);
	if (expected == NAT_DONE) {
		m->last_in = now;
		m->is_confirmed = true;
		m->fin_in |= (flags & TCP_FIN) != 0;
		m->rst |= (flags & TCP_RST) != 0;
		struct inner_spec after = model_packet(kind, proxy_ip(m->proxy), client, m->in_port, false, flags);
		(void)is_now(&after);
	} else {
		(void)is_now(&s); /* untouched */
	}
}

TEST(round_trips_with_random_delays_as_the_model_says)
{
	start();
	for (unsigned round = 0; round < 6; round++) {
		memset(model, 0, sizeof(model));
		nat_reset(&nat);
		for (unsigned step = 0; step < 1500; step++) {
			model_step(round % 2 ? 10 : 4);
			u64 wait = rng_below(&rng.rng, 10);
			u64 span = wait < 6 ? 0 : wait < 9 ? rng_below(&rng.rng, 40) : rng_below(&rng.rng, 400);
			if (step % 500 == 499)
				span = rng_below(&rng.rng, 15000);
			for (u64 i = 0; i < span; i++) {
				now += SEC(1);
				nat_tick(&nat, now);
				if (i + 1 == span || span < 400)
					model_tick();
			}
			now += rng_below(&rng.rng, SEC(1)); /* between two ticks */
		}
		unsigned live = 0, expired = 0;
		for (unsigned i = 0; i < MODEL_MAX; i++) {
			live += model[i].state == LIVE;
			expired += model[i].state == EXPIRED;
		}
		EXPECT_EQ(nat.n_live, live);
		EXPECT_EQ(nat.n_expired, expired);
	}
	stop();
}
