/* tests/unit/http_world.h: the HTTP side of a portal in virtual time: a browser, and raw connections, over socket pairs.
 *
 *	struct http_world *w = http_new();                      w->portal is a portal_world
 *	const struct reply *r = http_get(w, "/acme/sites");     cookies are kept like a browser does
 *	EXPECT_EQ(r->status, 200);
 *	EXPECT_HAS(r->body, "Berlin");
 *	r = http_post(w, "/acme/sites", "name=Paris");          with Origin, Sec-Fetch-Site and the _csrf of the page got last
 *	http_wait(w, SEC(3));                                   time passes; what was deferred to it happens
 *
 * A reply lives until the next call. The rate limit is off until w->cfg says otherwise.
 */
#pragma once

#include "applets/portal/http/conn.h"
#include "core/base/strbuf.h"
#include "tests/unit/portal_world.h"

#define COOKIES_MAX 16

struct reply {
	int status; /* 0: none came */
	const char *head, *body;
	size_t body_len;
	char location[1024]; /* "" when not a redirect */
};

struct http_world {
	struct portal_world *portal;
	struct serve_config cfg;
	struct server server;
	struct loop *loop;
	char cookie[COOKIES_MAX][3400]; /* name=value */
	char csrf[64];			/* of the last page that had one */
	const char *extra;		/* header lines to send along, each with its "\r\n" */
	char remote[IP_STRLEN];
	struct strbuf text; /* of the reply */
	struct reply reply;
};

struct http_world *http_new(void);
void http_free(struct http_world *w);
/* One more turn of the loop, without time passing, until nothing happens. */
void http_turn(struct http_world *w);
void http_wait(struct http_world *w, u64 ns);

const struct reply *http_get(struct http_world *w, const char *path);
const struct reply *http_post(struct http_world *w, const char *path, const char *form);
/* Any method, any body; type NULL: none. */
const struct reply *http_ask(struct http_world *w, const char *method, const char *path, const char *type, const char *body);
/* The value of a header of the reply, "" when absent; static memory. */
const char *http_header(const struct reply *r, const char *name);
/* The browser holds a session of that actor of Acme's, with an id of these bytes; through that provider, NULL for none. */
void http_sign_in(struct http_world *w, const struct uuid *actor, const struct uuid *provider, u8 bytes);
/* Forgets all cookies. */
void http_forget(struct http_world *w);

/* A connection of one's own: bytes in, bytes out. */
int http_dial(struct http_world *w);
void http_send(struct http_world *w, int fd, const char *bytes);
/* What came since the last call; "" when nothing; *is_closed tells whether the server ended it. Static memory. */
const char *http_recv(struct http_world *w, int fd, bool *is_closed);

bool http_expect_has(const char *file, int line, const char *text, const char *part);
#define EXPECT_HAS(text, part) http_expect_has(__FILE__, __LINE__, (text), (part))
