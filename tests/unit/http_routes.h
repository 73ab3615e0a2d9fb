/* tests/unit/http_routes.h: pages that show what an exchange can do, for tests of the exchange itself.
 *
 *	GET  /echo?…           method, params, query and form fields as text       POST /form         the same, behind CSRF
 *	GET  /page             HTML with a form                                     POST /hook         without CSRF
 *	GET  /set, /cookie     sets and reads a signed cookie                       GET  /flash, /flashed
 *	GET  /at               sent after 3 s                                       GET  /later        deferred; http_later_answer()
 *	GET  /stream           http_stream is it                                    GET  /silent, /twice, /inject
 *	GET  /:account/sites/new, /:account/sites/:id, /:account/:thing/new         api: GET, POST /things, PUT /things/:id
 */
#pragma once

#include "applets/portal/http/router.h"
#include "tests/unit/http_world.h"

extern struct exchange *http_deferred, *http_stream; /* NULL: none, or gone */
extern u32 http_gone;				     /* how often a `gone` was called */

/* A world whose pages these are. */
struct http_world *http_new_with_routes(void);
void http_later_answer(void);
