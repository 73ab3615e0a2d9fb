/* applets/portal/outbound/smtp_link.h: one connection to a mail server, on the loop: name, race of addresses, TLS, and the machine of smtp.h.
 *
 *   smtp_link_new() ──▶ connecting ──▶ on_ready ──smtp_link_send()──▶ on_result ──▶ on_ready ──▶ … ──smtp_link_quit()──▶ on_closed
 *                            └──────────── whatever ends it, at any time ────────────────────────────────────────────────────▲
 *
 * Nothing waits but the loop; the longest wait for a server is told in smtp.h. Certificates are checked for the host's name, with STARTTLS as
 * well. Callbacks come from the loop, never from inside a door; on_closed is the last one, and may free the link.
 */
#pragma once

#include "applets/portal/outbound/smtp.h"
#include "core/base/rng.h"
#include "core/loop/loop.h"

#define SMTP_LINK_TCP_TIMEOUT SEC(20)
#define SMTP_LINK_TLS_TIMEOUT SEC(30)

struct tls_anchors;
struct smtp_link;

struct smtp_link_config {
	struct loop *loop; /* all pointers are borrowed until smtp_link_free() */
	struct rng *rng;
	const char *host;
	u16 port;
	bool is_tls, is_starttls;
	bool may_auth_in_clear;		   /* the way is this host, or the operator said so */
	const struct tls_anchors *anchors; /* with TLS of either kind */
	const char *helo, *user, *password;
	const char *resolv_conf, *hosts; /* for tests (platform/resolver.h) */

	void (*on_ready)(void *ctx);
	void (*on_result)(void *ctx, enum smtp_verdict verdict, const char *text);
	void (*on_closed)(void *ctx, const char *text);
	void *ctx;
};

/* NULL: out of memory or descriptors. Every other failure is told by on_closed. */
struct smtp_link *smtp_link_new(const struct smtp_link_config *cfg);
void smtp_link_free(struct smtp_link *l);

/* As smtp_send(), when on_ready was the last word. */
int smtp_link_send(struct smtp_link *l, const struct smtp_mail *m) MUST_CHECK;
void smtp_link_quit(struct smtp_link *l);
