/* core/dns/doh.h: DNS over HTTPS (RFC 8484) with one resolver over one connection, sans-IO (spec 30 §10.4).
 *
 *   network bytes ──doh_input()──▶  TLS ▶ HTTP/2 or HTTP/1.1  ──doh_poll_answer()──▶ id, DNS message or failure
 *   network bytes ◀──doh_output()── TLS ◀ HTTP/2 or HTTP/1.1  ◀──doh_ask()────────── id, DNS message
 *
 *   doh_new            TLS open, ALPN h2
 *   ───────▶ [connecting] ──────────────────▶ [open h2] ──┐ GOAWAY, doh_close()
 *             │  │                                         ├──▶ [closing] ──nothing pending──▶ [closed]
 *             │  └──ALPN http/1.1 or none──▶ [open h1] ────┘ "Connection: close", doh_close()
 *             └── any: TLS or protocol error, silence, end of the stream with queries pending ──▶ [failed]: doh_error(), doh_reason()
 *
 * The owner makes the TCP connection to the host and port of the URL (resolving the name is its business too), moves the bytes and makes
 * a new struct doh when this one takes no more queries. A query is asked as soon as there is a struct doh: it waits for the connection.
 * Each query that was taken comes out of doh_poll_answer() exactly once unless it was cancelled, also when the connection fails.
 *
 * On HTTP/2 queries are concurrent streams; on HTTP/1.1 they take turns (keep-alive, no pipelining). A query goes out as
 * `GET <path>?dns=<base64url>` with DNS ID 0; a DNS message is what came with status 200 and exactly application/dns-message. Redirects are
 * not followed. The TLS is BearSSL's: 1.2 at most, so a resolver that demands TLS 1.3 cannot be reached (its refusal says so).
 *
 * HTTP/2 connections are pinged when nothing came for DOH_PING_INTERVAL, also while idle. HTTP/1.1 has no ping: there an answer that
 * takes DOH_TURN_TIMEOUT ends the connection. All other time limits of queries are the owner's: doh_cancel().
 *
 * Nothing is allocated per query but within nghttp2 and for answers longer than any before. Memory: about 80 KB per connection (TLS 29,
 * nghttp2 26, queries and plaintext 23) and at most DOH_BODIES_MAX for answers on their way.
 */
#pragma once

#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/http/tls.h"
#include "core/http/url.h"

#define DOH_QUERIES_MAX 256u       /* of one connection: waiting, on their way, or answered and not yet polled */
#define DOH_STREAMS_MAX 100u       /* at once on HTTP/2; less when the resolver's SETTINGS say so */
#define DOH_QUERY_MAX 4096u        /* bytes of a DNS query: its URL stays below what servers accept */
#define DOH_ANSWER_MAX 65535u      /* bytes of a DNS message */
#define DOH_BODIES_MAX (1u << 20)  /* bytes of all answers on their way; the one that does not fit fails */
#define DOH_HEAD_MAX 16384u        /* bytes of the fields of one answer */
#define DOH_PATH_MAX 1024u         /* of the URL */
#define DOH_CONNECT_TIMEOUT SEC(5) /* from doh_new() to the end of the TLS handshake, TCP included */
#define DOH_PING_INTERVAL SEC(5)   /* spec 30 §10.4 */
#define DOH_PING_TIMEOUT SEC(1)    /* spec 30 §10.4 */
#define DOH_TURN_TIMEOUT SEC(5)    /* HTTP/1.1, request to end of answer */
#define DOH_FRAMES_MAX 400u        /* HTTP/2: while more frames wait for the network, queries wait too */
#define DOH_REASON_MAX 200u

/* --- the resolver's URL --- */
struct doh_url {
	char host[HOST_MAX + 1]; /* to be resolved, and to be found in the certificate; address literals without brackets */
	struct ip literal;       /* family 0 unless the host is an address */
	u16 port;                /* 443 unless given */
	char path[DOH_PATH_MAX + 1]; /* "/" when empty */
};

/* spec 30 §10.1. ERR_INVAL: not https, or has a query or a fragment. ERR_MALFORMED: no absolute URL with a host, or a byte that no URL has.
 * ERR_LIMIT: too long. */
int doh_url_parse(struct span text, struct doh_url *out) MUST_CHECK;

/* --- one connection --- */
struct doh;

enum doh_state { DOH_CONNECTING, DOH_OPEN_H2, DOH_OPEN_H1, DOH_CLOSING, DOH_CLOSED, DOH_FAILED };

struct doh_config {
	const struct tls_anchors *anchors; /* borrowed */
	const struct doh_url *url;         /* copied */
	u64 wall_secs;                     /* Unix time now, for the certificate */
	struct rng *rng;                   /* borrowed */
};

/* False in builds without DNS over HTTPS (make DOH=0): doh_new() then says ERR_UNSUPPORTED, and whoever reads the configuration says
 * DOH_MISSING. */
bool doh_is_available(void);
#define DOH_MISSING "this build has no DNS over HTTPS (it was made with DOH=0)"

/* Make it when the TCP connect() begins. ERR_NOMEM, ERR_UNSUPPORTED. */
int doh_new(const struct doh_config *cfg, u64 now, struct doh **out) MUST_CHECK;
void doh_free(struct doh *d); /* says goodbye to nobody; pending queries are forgotten */

enum doh_state doh_state(const struct doh *d);
/* Whether doh_ask() would take a query now. */
bool doh_is_willing(const struct doh *d);
/* [failed]: why. ERR_AUTH, ERR_EXPIRED, ERR_DENIED: the certificate (tls.h); ERR_TIMEOUT; ERR_CLOSED; ERR_MALFORMED; ERR_NOMEM. Else 0. */
int doh_error(const struct doh *d);
const char *doh_reason(const struct doh *d); /* for people; never NULL */

/* `message` is copied; its ID is not sent. `id` is the caller's name for it, unique among those pending. ERR_STATE: not willing (any more):
 * make a new connection. ERR_LIMIT: DOH_QUERIES_MAX pending, or longer than DOH_QUERY_MAX. ERR_MALFORMED: shorter than a header. */
int doh_ask(struct doh *d, u64 now, u32 id, struct span message) MUST_CHECK;
/* Nobody waits for this one any more; no answer comes. Unknown ids are ignored. */
void doh_cancel(struct doh *d, u64 now, u32 id);
/* No more queries; ends politely when none is pending. */
void doh_close(struct doh *d, u64 now);

/* Bytes from the network; all are taken. What they led to shows in doh_state() and doh_poll_answer(). */
void doh_input(struct doh *d, u64 now, struct span in);
/* The resolver ended the stream. */
void doh_input_eof(struct doh *d, u64 now);
/* The owner's socket failed (refused, reset, unreachable): `error` for doh_error(), its words for doh_reason(). */
void doh_fail(struct doh *d, u64 now, int error, const char *reason);

/* Bytes for the network, valid until the next call; then say how many were taken. Also in [closed] and [failed]: the goodbye. */
struct span doh_output(struct doh *d);
void doh_output_done(struct doh *d, size_t n);

struct doh_answer {
	u32 id;
	int error;           /* 0: `message` is there. ERR_CLOSED: the connection ended or refused the query before an answer: ask another. ERR_TIMEOUT:
	                      * likewise, by silence. ERR_UNSUPPORTED: `status` was not 200. ERR_MALFORMED: wrong content type, or no DNS
	                      * header. ERR_LIMIT: too long. Others: doh_error() */
	u16 status;          /* HTTP's; 0 when none came */
	struct span message; /* with the resolver's ID, which is 0; valid until the next doh_poll_answer() */
};
/* To be emptied after each other door. */
bool doh_poll_answer(struct doh *d, struct doh_answer *out);

/* Give doh_input() what the socket holds before: who comes late to a due timer finds the answer to a ping there. */
void doh_timeout(struct doh *d, u64 now);
u64 doh_next_timeout(const struct doh *d);

struct doh_stats {
	u64 asked, answered, cancelled;
	u64 bad_status, bad_type, too_long, refused; /* refused: GOAWAY or RST_STREAM */
	u64 lost;                                    /* pending when the connection ended */
	u64 pings;
	u32 pending;
};
const struct doh_stats *doh_stats(const struct doh *d);
