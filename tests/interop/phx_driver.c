/* Both ends of the portal's WebSocket for scripts, without a portal.
 *
 *	phx_driver serve [CHAIN.pem KEY.pem]   listens on a loopback port, prints `listening PORT`, then what happens, a line each
 *	phx_driver connect URL [CA.pem]        a gateway's link; prints `connected`, `message NAME`, `disconnected WHY`, `fatal WHY`
 *
 * serve answers create_flow by flow_creation_failed (offline) and acknowledges flow_authorized unless its ref is "bad". connect sends
 * flow_authorized with ref "from-driver" once connected, then 100 candidates in one message. Both run until they are killed.
 */
#include "applets/common/portal_link.h"
#include "tests/unit/mini_portal.h"

#include <stdarg.h>
#include <stdio.h>

static struct loop *loop;

static void PRINTF_LIKE(1, 2) say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static u8 *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	u8 *buf = malloc(65536);

	if (!f || !buf) {
		perror(path);
		exit(1);
	}
	*n = fread(buf, 1, 65536, f);
	fclose(f);
	return buf;
}

/* --- the portal's end --- */

static void answer(struct mini_portal *p, const struct phx_event *e)
{
	struct portal_message m = { .type = MSG_FLOW_CREATION_FAILED };

	say("message %s", msg_type_name(e->message.type));
	if (e->message.type == MSG_CREATE_FLOW) {
		m.flow_creation_failed.resource_id = e->message.create_flow.resource_id;
		m.flow_creation_failed.reason = MSG_REASON_OFFLINE;
		if (phx_push(p->socket, loop_now(loop), &m))
			say("cannot push");
	} else if (e->message.type == MSG_FLOW_AUTHORIZED) {
		say("ref %s", e->message.flow_authorized.ref);
		if (strcmp(e->message.flow_authorized.ref, "bad") == 0)
			phx_error(p->socket, &e->ref, "invalid_ref");
		else
			phx_ok(p->socket, &e->ref);
	}
}

static int serve(int argc, char **argv)
{
	static struct mini_portal portal;
	struct tls_identity *identity = NULL;
	u32 joins = 0, gone = 0;

	if (argc == 4) {
		size_t chain_n, key_n;
		u8 *chain = read_file(argv[2], &chain_n), *key = read_file(argv[3], &key_n);
		int rc = tls_identity_new(SPAN(chain, chain_n), SPAN(key, key_n), &identity);
		if (rc) {
			say("certificate or key: %s", err_str(rc));
			return 1;
		}
	}
	portal.on_message = answer;
	if (mini_portal_start(&portal, loop, identity, 0))
		return 1;
	say("listening %u", portal.local.port);
	for (;;) {
		loop_turn(loop, TIME_NEVER);
		if (portal.joins != joins)
			say("joined %s", portal.upgrade.external_id);
		if (portal.gone != gone)
			say("gone");
		joins = portal.joins;
		gone = portal.gone;
	}
}

/* --- a gateway's end --- */

static struct link *the_link;

static void on_connected(void *ctx)
{
	static const char *candidates[100];
	static const struct uuid id = { { 7 } };
	struct portal_message m = { .type = MSG_FLOW_AUTHORIZED, .flow_authorized = { "from-driver" } };

	(void)ctx;
	say("connected");
	int rc = link_send(the_link, &m);
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++)
		candidates[i] = "candidate:ffffff7eeb690fd99c6cfb90 1 udp 2130706431 2001:db8:50::2 52625 typ host ufrag o5r7";
	m = (struct portal_message){ .type = MSG_BROADCAST_ICE_CANDIDATES, .broadcast = { { &id, 1 }, { candidates, ARRAY_LEN(candidates) } } };
	rc |= link_send(the_link, &m);
	if (rc)
		say("cannot send");
}

static void on_disconnected(void *ctx, int err, const char *text, u64 retry_at)
{
	(void)ctx;
	(void)err;
	(void)retry_at;
	say("disconnected %s", text);
}

static void on_message(void *ctx, const struct portal_message *m)
{
	(void)ctx;
	say("message %s", msg_type_name(m->type));
}

static void on_fatal(void *ctx, enum channel_fatal why, const char *text)
{
	(void)ctx;
	(void)why;
	say("fatal %s", text);
	loop_stop(loop);
}

static int connect_to(int argc, char **argv)
{
	static const u8 key[32] = { 5 };
	struct link_config cfg = { .ca_file = argc > 3 ? argv[3] : NULL, .rng = sys_rng(),
				   .cb = { on_connected, on_disconnected, on_message, on_fatal, NULL } };
	char why[300];

	cfg.channel = (struct channel_config){ .role = MSG_ROLE_GATEWAY, .api_url = argv[2], .token = "driver-token",
		.user_agent = "Debian/12.0.0 gateway/1.5.2 (x86_64; 6.1.0)", .params = { { "external_id", "driver" }, { "name", "dr iver" } }, .n_params = 2,
		.max_partition = TIME_NEVER, .rng = sys_rng() };
	the_link = link_new(loop, &cfg, why, sizeof(why));
	if (!the_link) {
		say("cannot start: %s", why);
		return 1;
	}
	link_start(the_link, key);
	loop_run(loop);
	return 1;
}

int main(int argc, char **argv)
{
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };

	loop = loop_new(&clock);
	if (!loop)
		return 1;
	if (argc >= 2 && strcmp(argv[1], "serve") == 0)
		return serve(argc, argv);
	if (argc >= 3 && strcmp(argv[1], "connect") == 0)
		return connect_to(argc, argv);
	fprintf(stderr, "usage: phx_driver serve [CHAIN KEY] | connect URL [CA]\n");
	return 2;
}
