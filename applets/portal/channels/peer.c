/* One socket: from the bytes to the role's own rules and back. */
#define LOG_TARGET "portal::peer"

#include "applets/portal/channels/internal.h"
#include "core/base/log.h"

#include <sodium.h>
#include <stdlib.h>

#define CLOSE_NORMAL 1000

static const char *const role_names[] = { "client", "gateway", "relay" };

void peer_wake(struct peer *p)
{
	if (p->hub->cfg.wants_service)
		p->hub->cfg.wants_service(p->hub->cfg.ctx, p->conn);
}

void peer_arm(struct peer *p)
{
	u64 due = phx_socket_next_timeout(p->socket);

	if (p->is_registered && p->role == MSG_ROLE_CLIENT)
		due = time_min(due, client_peer_next_timeout(p));
	if (p->is_registered && p->role == MSG_ROLE_GATEWAY)
		due = time_min(due, p->next_minute);
	if (p->is_gone)
		due = TIME_NEVER;
	if (heap_arm(&p->hub->due, &p->due, due))
		p->hub->stats.limits_reached++;
}

int peer_push(struct peer *p, const struct portal_message *m)
{
	int rc = phx_push(p->socket, p->hub->now, m);

	if (rc)
		log_warn("a message could not be sent", kv_s("role", role_names[p->role]), kv_uuid("id", &p->id),
			 kv_s("message", msg_type_name(m->type)), kv_err(rc));
	peer_arm(p);
	peer_wake(p);
	return rc;
}

void peer_leave(struct peer *p)
{
	if (!p->is_registered)
		return;
	p->is_registered = false;
	hub_tell_presence(p, false);
	index_take(&p->hub->joined[p->role], p);
	log_info("left", kv_s("role", role_names[p->role]), kv_uuid("id", &p->id));
	switch (p->role) {
	case MSG_ROLE_CLIENT:
		client_peer_leave(p);
		break;
	case MSG_ROLE_GATEWAY:
		reports_leave(p);
		if (!p->is_restarting)
			flow_gateway_left(p);
		break;
	case MSG_ROLE_RELAY:
		relay_leave(p);
		break;
	}
}

void peer_end(struct peer *p, const char *disconnect_reason)
{
	tell_forget(p);
	peer_leave(p);
	phx_end(p->socket, p->hub->now, disconnect_reason, CLOSE_NORMAL);
	peer_arm(p);
	peer_wake(p);
}

static void join(struct peer *p, const struct phx_event *e)
{
	if (p->ending_link) {
		peer_end(p, p->ending_reason);
		return;
	}
	if (p->role == MSG_ROLE_RELAY && !e->stamp_secret[0]) {
		phx_join_refuse(p->socket, "join crashed");
		return;
	}
	phx_join_ok(p->socket);
	switch (p->role) {
	case MSG_ROLE_CLIENT:
		client_peer_join(p);
		break;
	case MSG_ROLE_GATEWAY:
		gateway_peer_join(p);
		break;
	case MSG_ROLE_RELAY:
		relay_join(p, e->stamp_secret);
		break;
	}
}

static void message(struct peer *p, struct phx_event *e)
{
	tell_now(p);
	if (p->is_registered) {
		switch (p->role) {
		case MSG_ROLE_CLIENT:
			client_peer_message(p, &e->message);
			break;
		case MSG_ROLE_GATEWAY:
			gateway_peer_message(p, &e->message, &e->ref);
			break;
		case MSG_ROLE_RELAY:
			break;
		}
	}
	msg_free(&e->message);
}

static void gone(struct peer *p, int err)
{
	log_debug("socket is over", kv_s("role", role_names[p->role]), kv_uuid("id", &p->id), kv_err(err));
	peer_leave(p);
	p->is_gone = true;
	peer_wake(p);
}

static void serve_events(struct peer *p)
{
	struct phx_event e;

	while (!p->is_gone && phx_socket_poll(p->socket, &e)) {
		switch (e.type) {
		case PHX_JOIN:
			join(p, &e);
			break;
		case PHX_MESSAGE:
			message(p, &e);
			break;
		case PHX_LEAVE:
			peer_leave(p);
			break;
		case PHX_GONE:
			gone(p, e.err);
			break;
		}
	}
	peer_arm(p);
}

static void at(struct peer *p, u64 now, u64 wall)
{
	hub_at(p->hub, now, wall);
}

void peer_input(struct peer *p, u64 now, u64 wall, struct span bytes)
{
	at(p, now, wall);
	phx_socket_input(p->socket, now, bytes);
	serve_events(p);
}

void peer_eof(struct peer *p, u64 now, u64 wall)
{
	at(p, now, wall);
	phx_socket_eof(p->socket, now);
	serve_events(p);
}

void peer_timeout(struct peer *p)
{
	phx_socket_timeout(p->socket, p->hub->now);
	if (p->is_registered && p->role == MSG_ROLE_CLIENT)
		client_peer_timeout(p);
	if (p->is_registered && p->role == MSG_ROLE_GATEWAY)
		gateway_peer_timeout(p);
	serve_events(p);
	peer_wake(p);
}

struct span peer_output(struct peer *p, u64 now, u64 wall)
{
	at(p, now, wall);
	serve_events(p);
	return phx_socket_output(p->socket);
}

void peer_output_done(struct peer *p, size_t n)
{
	phx_socket_output_done(p->socket, n);
}

bool peer_is_gone(const struct peer *p)
{
	return p->is_gone;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	peer_leave(p);
	tell_forget(p);
	heap_disarm(&p->hub->due, &p->due);
	index_take(&p->hub->all, p);
	index_take(&p->hub->by_token, p);
	switch (p->role) {
	case MSG_ROLE_CLIENT:
		client_peer_free(p);
		break;
	case MSG_ROLE_GATEWAY:
		gateway_peer_free(p);
		break;
	case MSG_ROLE_RELAY:
		break;
	}
	if (p->row)
		entity_free(p->role == MSG_ROLE_CLIENT ? KIND_CLIENT : KIND_GATEWAY, p->row);
	phx_socket_free(p->socket);
	free(p->user_agent);
	sodium_memzero(p, sizeof(*p));
	free(p);
}
