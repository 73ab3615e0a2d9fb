/* core/tunnel/client_dns.h: the resolver that the system meets at the sentinels (spec 30 §9–§11). Shared by the files client*.c only.
 *
 * A query's way:
 *
 *   packet to sentinel:53 ─▶ cache ─▶ stub ─┬─▶ answered here                                        client_dns.c
 *   (UDP, or TCP by core/tcp)               ├─▶ SRV, TXT: to the gateway's own resolver ───┐
 *                                           └─▶ forwarder ─┬─▶ a server inside the tunnel ─┴─▶ own packets    client_dns_inside.c
 *                                                          └─▶ any other: client_poll_exchange() and the applet's sockets
 *
 * There are two forwarders with the same groups, one per upstream server, so that what goes through the tunnel and what goes around it never
 * mix; a server's group is known to one of them at a time and moves when the resources change (spec 30 §10.3).
 *
 * Who asked is an *asker*, whose token travels with the query. Queries that go through the tunnel are *inside* queries; those for a site wait
 * there until the flow to the site's gateway exists.
 *
 * Everything here may be called from any door; what it leads to is carried out by names_pump() at the end of that door.
 */
#pragma once

#include "core/dns/cache.h"
#include "core/ip/segment.h"
#include "core/ip/udp_packet.h"
#include "core/tunnel/client_dns_config.h"
#include "core/tunnel/client_stub.h"

#define DNS_SITE_PORT 53535u            /* of a gateway's own resolver (spec 30 §1.2) */
#define DNS_LOCAL_PORT_FIRST 49152u     /* of inside queries */
#define DNS_INSIDE_TIMEOUT SEC(10)
#define DNS_INSIDE_MAX 512u             /* queries through the tunnel, waiting ones included */
#define DNS_SITE_WAITING_MAX 128u       /* of one resource, waiting for its flow; the oldest gives way */
#define DNS_ASKERS_MAX 2048u            /* questions not answered yet */
#define DNS_CACHE_BYTES (2u * 1024u * 1024u)

struct client;
struct flow;
struct gateway_peer;
struct resource;
struct client_dns;

typedef u32 dns_conn; /* a TCP connection; 0: it was UDP */

struct dns_asker {
	struct endpoint sentinel, remote;
	dns_conn conn;
	u16 udp_size; /* the longest answer by UDP: what its EDNS says, 512 without */
};

/* --- client_dns.c */
struct client_dns *names_new(struct rng *rng); /* NULL: out of memory */
void names_free(struct client_dns *d);
const struct dns_config *names_configured(const struct client_dns *d);
u32 names_mapping(const struct client_dns *d); /* another number for each mapping of sentinels */
bool names_is_sentinel(const struct client_dns *d, const struct ip *ip);
/* Segments to a sentinel, from the TUN. */
void names_input(struct client *c, struct segmenter *s);
/* One query; fills udp_size. ERR_MALFORMED: no query of spec 30 §9.1, nothing comes. */
int names_serve(struct client *c, struct dns_asker *from, struct span query) MUST_CHECK;
/* The answer to one that waited. */
void names_answer(struct client *c, u64 token, struct span message);
/* As above, with SERVFAIL. `query` is what was asked. */
void names_answer_servfail(struct client *c, u64 token, struct span query);
/* The connection of these askers is gone. */
void names_asker_gone(struct client *c, dns_conn conn);
void names_set_portal(struct client *c, const struct msg_interface *i);
/* Resources or the wish for the Internet changed: cached answers and ways are void. */
void names_tables_changed(struct client *c);
void names_reset(struct client *c);
void names_timeout(struct client *c);
u64 names_next_timeout(const struct client *c);
void names_pump(struct client *c);
/* What became of an inside exchange. False: this was not its answer, it goes on. */
bool names_inside_response(struct client *c, u32 id, const struct endpoint *from, struct span message);
void names_inside_failed(struct client *c, u32 id, int error);

/* --- client_dns_inside.c */
struct dns_inside;
struct dns_inside *inside_new(struct rng *rng);
void inside_free(struct dns_inside *s);
/* An exchange of the inside forwarder, or its cancelling. */
void inside_exchange(struct client *c, const struct dns_exchange *ex);
/* SRV or TXT for the resolver of the resource's gateway; asks for a flow when there is none. */
void inside_site_query(struct client *c, struct resource *r, const struct dns_asker *from, u64 token, struct span query);
void inside_flow_ready(struct client *c, struct resource *r);
void inside_flow_gone(struct client *c, const struct resource *r);
/* A packet that came out of the tunnel; true when it was ours. Ask only while inside_is_open() holds. */
bool inside_input(struct client *c, const u8 *data, const struct packet *p);
/* What became of a query that names_tcp_ask() took. */
void inside_tcp_answered(struct client *c, u32 id, struct span message);
void inside_tcp_failed(struct client *c, u32 id, int error);
void inside_reset(struct client *c);
void inside_timeout(struct client *c);
u64 inside_next_timeout(const struct client *c);

/* --- client_dns_tcp.c: both ends of DNS over TCP in the tunnel, on a TCP of our own (spec 30 §10.4, §11) */
struct names_tcp;
struct names_tcp *names_tcp_new(struct rng *rng);
void names_tcp_free(struct names_tcp *t);
/* On every present sentinel, and on no other any more. */
void names_tcp_listen(struct client *c);
/* A packet to a sentinel's TCP port. */
void names_tcp_input(struct client *c, const u8 *data, const struct packet *p);
void names_tcp_reply(struct client *c, dns_conn conn, struct span message);
/* A query for a server inside; its outcome comes by inside_tcp_*() with this id. */
int names_tcp_ask(struct client *c, const struct endpoint *server, u32 id, struct span message) MUST_CHECK;
void names_tcp_cancel(struct client *c, u32 id);
bool names_tcp_inside_input(struct client *c, const u8 *data, const struct packet *p);
bool names_tcp_pump(struct client *c); /* true: something happened */
void names_tcp_reset(struct client *c);
void names_tcp_timeout(struct client *c);
u64 names_tcp_next_timeout(const struct client *c);
