/* What every answer carries beside the handler's own fields (spec 60 §3.9). */
#include "applets/portal/http/exchange_int.h"

#include <stdio.h>

#define HSTS "max-age=63072000; includeSubDomains; preload"

static bool is_html(const struct run *r)
{
	return r->type[0] == '\0' || strncasecmp(r->type, "text/html", 9) == 0;
}

static void add_page_policy(struct run *r)
{
	char policy[512];

	snprintf(policy, sizeof(policy),
		 "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self' 'nonce-%s'; connect-src 'self'; "
		 "form-action 'self'%s; base-uri 'none'; frame-ancestors 'none'",
		 r->x.nonce, r->form_action);
	(void)exchange_add_field(r, "Content-Security-Policy", policy);
	(void)exchange_add_field(r, "Cross-Origin-Opener-Policy", "same-origin");
}

void headers_add(struct run *r)
{
	if (is_html(r))
		add_page_policy(r);
	else if (r->match.area->kind != AREA_PLAIN)
		(void)exchange_add_field(r, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
	(void)exchange_add_field(r, "X-Content-Type-Options", "nosniff");
	(void)exchange_add_field(r, "Referrer-Policy", "same-origin");
	if (!r->has_cache_control)
		(void)exchange_add_field(r, "Cache-Control", "no-store");
	if (r->x.is_https)
		(void)exchange_add_field(r, "Strict-Transport-Security", HSTS);
}
