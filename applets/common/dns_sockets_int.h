/* applets/common/dns_sockets_int.h: what the files of the carrier share: dns_sockets.c owns exchanges and the forwarder's time,
 * dns_sockets_udp.c, _tcp.c and _https.c have one transport each. */
#pragma once

#include "applets/common/dns_sockets.h"
#include "core/base/table.h"
#include "platform/udp_query.h"

#define DNS_READ_BYTES 65536u /* of a stream at a time: DNS_TCP_CHUNK_MAX */
#define UDP_BUCKETS 64u
#define BATCH_BYTES 512u /* longer queries leave alone */

/* One exchange under way. Belongs to exactly one carrier: a UDP socket, a TCP or an HTTPS connection. */
struct flight {
	u32 id;
	u16 wire_id;
	u8 transport;
	void *carrier;
	struct flight *next; /* in a bucket of its UDP socket, or free */
};

struct udp_socket;
struct udp_path;
struct tcp_path;
struct https_host;

struct dns_sockets {
	struct loop *loop;
	struct forwarder *f;
	struct dns_sockets_config cfg;
	struct loop_task task;
	struct loop_timer timer, sweep;
	bool is_pumping;
	u32 groups_revision; /* of the forwarder, when it was last asked which resolvers it has */

	struct table flights; /* exchange id → flight */
	struct flight *free_flights;

	struct udp_path *udp;         /* most recently used first */
	struct udp_socket *udp_retired; /* they wait for the last answers */
	u32 n_udp_paths;
	struct {
		struct udp_socket *socket;
		size_t n;
		struct span spans[UDP_QUERY_BATCH];
		struct flight *flights[UDP_QUERY_BATCH];
		u8 bytes[UDP_QUERY_BATCH][BATCH_BYTES];
	} batch;
	struct udp_query_ring *ring;

	struct tcp_path *tcp;
	struct https_host *https;
	u32 n_tcp_paths, n_https_hosts;
	struct ip bootstrap[DNS_BOOTSTRAP_MAX];
	size_t n_bootstrap;
	u8 *read_buffer; /* DNS_READ_BYTES */

	struct dns_sockets_stats stats;
};

/* NULL: DNS_FLIGHTS_MAX or out of memory; the exchange was reported as failed. */
struct flight *flight_new(struct dns_sockets *s, u32 id, u8 transport, void *carrier);
struct flight *flight_find(struct dns_sockets *s, u32 id);
void flight_free(struct dns_sockets *s, struct flight *fl);
/* Frees the flight and tells the forwarder. */
void flight_failed(struct dns_sockets *s, struct flight *fl, u64 now, int error);
/* A limit keeps an exchange from starting. */
void exchange_over_limit(struct dns_sockets *s, u32 id, u64 now);

/* What the forwarder wants now, until nothing moves. Each callback of a transport ends with it. */
void dns_sockets_pump(struct dns_sockets *s, u64 now);
/* Closes idle sockets later; while there are any. */
void dns_sockets_sweep_later(struct dns_sockets *s, u64 now);

void path_udp_start(struct dns_sockets *s, u64 now, const struct dns_exchange *e);
void path_udp_flush(struct dns_sockets *s, u64 now);
void path_udp_cancel(struct flight *fl);
bool path_udp_sweep(struct dns_sockets *s, u64 now); /* true: there are sockets left */
void path_udp_drop_all(struct dns_sockets *s);

void path_tcp_start(struct dns_sockets *s, u64 now, const struct dns_exchange *e);
void path_tcp_cancel(struct flight *fl);
void path_tcp_drop_all(struct dns_sockets *s);

void path_https_start(struct dns_sockets *s, u64 now, const struct dns_exchange *e);
void path_https_cancel(struct flight *fl, u64 now);
void path_https_prepare(struct dns_sockets *s, u64 now, const char *url);
/* Ends the connections to resolvers that the forwarder does not have any more, when their last answers are there. */
void path_https_prune(struct dns_sockets *s, u64 now);
void path_https_drop_all(struct dns_sockets *s);
