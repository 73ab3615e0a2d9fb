/* applets/portal/http/exchange_int.h: an exchange as the connection and the other files of http/ see it; private to http/.
 *
 *   exchange_new() ─▶ [judged: refused, or wants the body] ─▶ exchange_run() ─▶ [answering] ─▶ output … is_over ─▶ exchange_free()
 */
#pragma once

#include "applets/portal/http/exchange.h"
#include "applets/portal/http/router.h"
#include "applets/portal/http/server.h"

enum answer {
	ANSWER_NONE,	  /* the handler has not said anything */
	ANSWER_DEFERRED,  /* it will */
	ANSWER_WAITING,	  /* complete, for the timer */
	ANSWER_COMPLETE,
	ANSWER_STREAMING, /* the head is out, pieces follow */
	ANSWER_ENDED,	  /* the last piece is in `out` */
	ANSWER_BROKEN,	  /* the connection cannot go on */
};

struct pair {
	const char *name, *value; /* NULL: not decodable */
};

struct pairs {
	struct pair *at;
	u32 n;
	bool is_read;
	bool is_spoiled; /* there was what is no text, or more than is taken */
};

/* What the cookie _firezone_key holds. */
#define BROWSER_KEY_LEN 16
struct browser {
	bool is_read, is_new, is_changed;
	u8 key[BROWSER_KEY_LEN];
	enum flash flash_kind;
	char flash[EXCHANGE_FLASH_MAX]; /* for the next page */
	char csrf[44];
};

struct run {
	struct exchange x;
	struct server *server;
	void (*wake)(void *conn); /* there is output, or it is broken; only queues a task */
	void *conn;
	struct match match;
	u16 status;
	bool is_proxied, is_head, has_body_coming, must_close, is_chunked;
	bool has_cache_control;
	char type[96]; /* "" = HTML */
	enum answer answer;
	struct strbuf fields; /* "Name: value\r\n" of the handler and of cookies */
	struct strbuf head;   /* the answer's, once composed */
	size_t head_done, out_done;
	void (*gone)(void *ctx);
	void *ctx;
	struct loop_timer timer;
	struct held held; /* complete, see server_hold() */
	u64 sweeps;	  /* store_sweeps() when it came */
	struct piece *memory;
	struct pairs form, query;
	struct browser browser;
	char form_action[128];
	u64 started;
};

/* Whether a field of the form could not be read (forms.c). */
bool exchange_form_is_spoiled(struct run *r);

static inline struct run *run_of(const struct exchange *x)
{
	return container_of((struct exchange *)x, struct run, x);
}

/* ---- for the connection ---- */

/* Borrows the head until exchange_free(). NULL: out of memory. The route is known after it, and whether the request is refused: then
 * exchange_run() answers so without a body. */
struct run *exchange_new(struct server *s, const struct http_head *h, const struct ip *hop, void (*wake)(void *), void *conn);
bool exchange_is_refused(const struct run *r);
u64 exchange_body_max(const struct run *r);
/* Instead of exchange_run(): what came is not acceptable (413, 417, 408). */
void exchange_refuse(struct run *r, u16 status, const char *reason);
void exchange_run(struct run *r, struct span body);

struct span exchange_output(struct run *r);
void exchange_output_done(struct run *r, size_t n);
bool exchange_is_over(const struct run *r);	/* all is written */
bool exchange_is_broken(const struct run *r);	/* drop the connection */
bool exchange_is_waiting(const struct run *r);	/* for the handler, not for the network */
bool exchange_is_stream(const struct run *r);
bool exchange_keeps_alive(const struct run *r);
/* The portal is going down, or it took too long: a stream ends, a deferred answer becomes 503. */
void exchange_give_up(struct run *r);
/* Tells `gone` unless all was sent. */
void exchange_free(struct run *r);

/* ---- between the files ---- */

bool exchange_add_field(struct run *r, const char *name, const char *value);
/* headers.c: what every answer carries beside the handler's own. */
void headers_add(struct run *r);
/* browser.c */
void browser_save(struct run *r);
/* 0, or the reason in words why the request does not come from one of our pages. */
const char *browser_check_csrf(struct run *r);
/* cookies.c: text of a signed cookie and back, names and ages bound. */
#define COOKIE_STRLEN 3072
int cookie_seal(const u8 key[static SHA256_LEN], const char *name, struct span content, u64 wall_secs, u64 max_age_secs,
		char out[static COOKIE_STRLEN]) MUST_CHECK;
int cookie_open(const u8 key[static SHA256_LEN], const char *name, struct span text, u64 wall_secs, u8 *out, size_t cap, size_t *n) MUST_CHECK;
