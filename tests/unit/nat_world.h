/* tests/unit/nat_world.h: one client's translation in virtual time, and packets through it whose every byte is checked. Private to the tests of
 * core/tunnel/nat.h; included once per program. */
#pragma once

#include "core/tunnel/nat.h"
#include "tests/unit/inner.h"
#include "tests/unit/test.h"

#include <string.h>

#define TCP 6
#define UDP 17
#define ECHO4 1
#define ECHO6 58

static struct rng_seeded rng;
static struct nat nat;
static u64 now;
static u8 packet[2048], want[2048];

static inline void start(void)
{
	rng_seeded_init(&rng, 1);
	nat_init(&nat, &rng.rng);
	now = SEC(1000);
}

static inline void stop(void)
{
	nat_deinit(&nat);
}

static inline void seconds(u64 n)
{
	for (u64 i = 0; i < n; i++) {
		now += SEC(1);
		nat_tick(&nat, now);
	}
}

static inline const char *client_of(const char *other)
{
	return strchr(other, ':') ? "fd00:2021:1111::2:1" : "100.64.2.1";
}

/* A packet between `src` and `dst`; for echo both ports are the id, `sport` for requests, `dport` for replies. */
static inline struct inner_spec spec(u8 proto, const char *src, u16 sport, const char *dst, u16 dport)
{
	struct inner_spec s = { .src = ip_of(src), .dst = ip_of(dst), .proto = proto, .sport = sport, .dport = dport, .tcp_flags = TCP_ACK,
				.seq = 7, .payload = "any payload", .payload_len = 11 };
	return s;
}

static inline struct inner_spec echo(bool is_request, const char *src, const char *dst, u16 id)
{
	bool is_v6 = strchr(src, ':') != NULL;
	struct inner_spec s = spec(is_v6 ? ECHO6 : ECHO4, src, 0, dst, id);
	s.sport = (u16)((is_v6 ? (is_request ? 128 : 129) : is_request ? 8 : 0) << 8);
	return s;
}

static inline enum nat_result out_spec(const struct inner_spec *s, const char *real)
{
	struct ip to;
	struct packet p;
	u32 len = inner_make(s, packet);
	if (real)
		to = ip_of(real);
	if (packet_parse(packet, len, TUNNEL_MTU, &p))
		return NAT_REFUSED;
	enum nat_result rc = nat_outbound(&nat, now, real ? &to : NULL, packet, &p);
	if (rc == NAT_DONE) { /* what was parsed is kept in step */
		struct packet again;
		EXPECT_EQ(packet_parse(packet, len, TUNNEL_MTU, &again), 0);
		EXPECT(ip_eq(&p.dst, &again.dst) && p.src_port == again.src_port && p.dst_port == again.dst_port);
	}
	return rc;
}

static inline enum nat_result in_spec(const struct inner_spec *s)
{
	struct packet p, again;
	u32 len = inner_make(s, packet);
	if (packet_parse(packet, len, TUNNEL_MTU, &p))
		return NAT_REFUSED;
	enum nat_result rc = nat_inbound(&nat, now, packet, &p, false);
	EXPECT_EQ(packet_parse(packet, len, TUNNEL_MTU, &again), 0);
	EXPECT(ip_eq(&p.src, &again.src) && p.src_port == again.src_port && p.dst_port == again.dst_port);
	return rc;
}

/* The packet left in `packet` is what the specification says, checksums and all. */
static inline bool is_now(const struct inner_spec *s)
{
	u32 len = inner_make(s, want);
	return EXPECT_MEM(packet, want, len);
}

