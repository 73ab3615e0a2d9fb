/* tests/sim/internet.h: a small internet in virtual time, decided by a seed.
 *
 * Hosts have addresses; a host may sit behind a box, per family: a NAT (RFC 4787: how it maps, whom it lets in) or a stateful firewall, which
 * is a NAT that does not translate. Hosts behind the same box form a LAN. Between boxes the network delays, loses, doubles and reorders.
 *
 *	internet_send(net, host, &tx)                    a GSO run becomes datagrams
 *	internet_next(net)                               when the next one arrives
 *	internet_deliver(net, now, host, rx, max)        what has arrived at a host by now, neighbours of one flow and size joined like GRO
 *
 * Virtual time only; every draw comes from the seed.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/ip/datagram.h"

#define NET_HOSTS 8u
#define NET_BOXES 12u
#define NET_MAPPINGS 512u /* of one box */
#define NET_LOCAL_MAX 4u  /* addresses of one host */

/* RFC 4787 §4.1 and §5: what a mapping, and the permission to use it, depend on. */
enum dependence { ENDPOINT_INDEPENDENT, ADDRESS_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT };

struct mapping {
	struct endpoint inside, outside, remote;
	u64 last_used;
};

struct box {
	struct ip public; /* firewall: family 0, addresses pass unchanged */
	u8 family;
	enum dependence mapping, filtering;
	bool preserves_ports, does_hairpin;
	u64 lifetime;
	struct mapping mappings[NET_MAPPINGS];
	u32 n_mappings;
	u16 next_port;
};

struct inet_host {
	struct ip local[NET_LOCAL_MAX]; /* family 0: free */
	struct box *box[2];             /* for family 4, 6; NULL = none */
	u64 latency;
	bool is_down;
};

struct internet_link {
	u32 loss_ppm, double_ppm, mark_ppm; /* of a million datagrams; mark: ECT becomes CE */
	u64 jitter;                         /* added, uniform: reorders */
};

struct internet;

struct internet *internet_new(struct rng *rng);
void internet_free(struct internet *n);
struct internet_link *internet_link(struct internet *n);

struct inet_host *internet_add_host(struct internet *n, u64 latency);
/* A box for one family; public.family 0 makes a firewall. */
struct box *internet_add_box(struct internet *n, u8 family, const struct ip *public);
/* A box reboots: all mappings are gone. */
void internet_forget(struct box *b);

/* No datagram between these two but through others (a path that is blocked by policy). */
void internet_block(struct internet *n, const struct inet_host *a, const struct inet_host *b);

void internet_send(struct internet *n, u64 now, struct inet_host *from, u16 port, const struct udp_tx *tx);
u64 internet_next(const struct internet *n);
/* Fills rx with memory of the net, valid until the next call for any host. `port` 0: any local port. Returns how many. */
size_t internet_deliver(struct internet *n, u64 now, struct inet_host *to, struct udp_rx *rx, size_t max);

struct internet_stats {
	u64 sent, delivered, lost, doubled, filtered, unroutable, marked;
	u64 lost_handshakes; /* of `lost`: WireGuard initiations and responses, on any leg */
};
const struct internet_stats *internet_stats(const struct internet *n);
/* A number that two equal runs share. */
u64 internet_digest(const struct internet *n);
