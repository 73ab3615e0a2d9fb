/* core/dns/doh_int.h: what the parts of a DoH connection share; private to doh*.c, their tests and fuzz target.
 *
 *   doh.c      queries and their lists, TLS, time, the ends of a connection
 *   doh_h2.c   HTTP/2 on nghttp2
 *   doh_h1.c   HTTP/1.1
 *
 * A query lives in a slot:   [free] ─ask▶ [waiting] ─send▶ [sent] ─answer, failure▶ [answered] ─poll, next poll▶ [free]
 * Its buffer holds the query while waiting and the answer from then on.
 */
#pragma once

#include "core/dns/doh.h"
#include "core/http/http.h"

#include <assert.h>

#define SLOT_NONE 0xffffu
#define SLOT_BUF_FIRST 512u /* bytes; doubled as needed */
#define SLOT_BUF_KEPT 1024u /* a free slot holds no more */
#define PLAIN_SIZE 8192u    /* plaintext on its way into TLS; a whole HTTP/1.1 request fits */
#define SPILL_SIZE 1024u    /* TLS records that had to leave before more could come in: alerts */

enum slot_state { SLOT_FREE, SLOT_WAITING, SLOT_SENT, SLOT_ANSWERED };

struct slot {
	enum slot_state state;
	u32 id;
	i32 stream;        /* HTTP/2 */
	u16 next;          /* in its list */
	u16 status;
	int error;
	u32 head_bytes;
	u8 n_types;        /* content-type fields seen */
	bool is_typed;     /* and the one was right */
	bool is_in_head;   /* HTTP/2: fields that come now belong to the head, not to trailers */
	bool is_forgotten; /* HTTP/1.1: cancelled while it had its turn */
	u32 len, cap;
	u8 *buf;
};

struct slots {
	u16 head, tail;
};

struct doh_h1 {
	struct http_parser *parser;
	u16 turn; /* the slot whose answer is expected, SLOT_NONE */
	u64 sent_at;
};

struct doh {
	struct tls *tls; /* NULL: plaintext (doh_new_plain) */
	struct doh_url url;
	char authority[HOST_MAX + 16];
	enum doh_state state;
	bool wants_close;
	bool is_goodbye_said;
	int error;
	char reason[DOH_REASON_MAX];
	u64 now;
	u64 connect_by;
	u64 last_rx;
	u64 pinged_at;
	bool is_pinged; /* and nothing came since */

	struct slot slot[DOH_QUERIES_MAX];
	struct slots free, waiting, answered;
	u16 given; /* by the last poll, SLOT_NONE */
	u32 n_sent;
	size_t bodies; /* bytes of answers in slots */

	struct nghttp2_session *h2; /* one of these is there when open */
	struct doh_h1 *h1;

	u8 plain[PLAIN_SIZE];
	size_t plain_n, plain_off;
	struct span frame; /* HTTP/2: the rest of a frame that did not fit into plain */
	u8 spill[SPILL_SIZE];
	size_t spill_n, spill_off;
	struct doh_stats stats;
};

/* A connection whose bytes in doh_input() and doh_output() are plaintext, open already. */
int doh_new_plain(const struct doh_url *url, bool is_h2, u64 now, struct doh **out) MUST_CHECK;

static inline bool doh_is_over(const struct doh *d)
{
	return d->state == DOH_CLOSED || d->state == DOH_FAILED;
}

/* --- doh.c, for the others --- */
void doh_end(struct doh *d, int error, const char *fmt, ...) PRINTF_LIKE(3, 4); /* → [failed] */
void doh_refuse_waiting(struct doh *d);            /* the resolver takes no more */
void doh_finish(struct doh *d, struct slot *s, int error); /* [sent] → [answered] */
int doh_append(struct doh *d, struct slot *s, struct span body) MUST_CHECK;
void doh_content_type(struct slot *s, struct span value);
/* The head is complete: 0, or why this is no answer. */
int doh_judge_head(struct doh *d, const struct slot *s) MUST_CHECK;
void doh_complete(struct doh *d, struct slot *s); /* all of the body is there */
/* `<path>?dns=<base64url>` of a waiting slot. */
#define TARGET_MAX (DOH_PATH_MAX + 5u + (DOH_QUERY_MAX * 4u + 2u) / 3u)
size_t doh_target(const struct doh *d, const struct slot *s, char out[static TARGET_MAX + 1]);

/* --- doh_h2.c --- */
int h2_open(struct doh *d) MUST_CHECK;
void h2_free(struct doh *d);
u32 h2_room(const struct doh *d); /* for how many more streams */
int h2_send(struct doh *d, struct slot *s) MUST_CHECK;
void h2_cancel(struct doh *d, struct slot *s);
void h2_input(struct doh *d, struct span in);
void h2_output(struct doh *d); /* into d->plain */
void h2_ping(struct doh *d);
void h2_goodbye(struct doh *d);

/* --- doh_h1.c --- */
int h1_open(struct doh *d) MUST_CHECK;
void h1_free(struct doh *d);
u32 h1_room(const struct doh *d);
int h1_send(struct doh *d, struct slot *s) MUST_CHECK;
void h1_input(struct doh *d, struct span in);
void h1_eof(struct doh *d);
