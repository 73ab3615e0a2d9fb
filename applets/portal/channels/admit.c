/* From an upgrade request to a peer, or to the refusal it gets (spec 10 §4.1–§4.2, spec 60 §4.1). A transient fault must never look like
 * a bad token: peers take 401 for the end. */
#define LOG_TARGET "portal::admit"

#include "applets/portal/channels/internal.h"
#include "applets/portal/model/rules.h"
#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/crypto/hash.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static int refuse(struct hub_refusal *r, u16 status, const char *code, const char *detail, u32 retry_after)
{
	r->status = status;
	r->code = code;
	r->retry_after = retry_after;
	snprintf(r->detail, sizeof(r->detail), "%s", detail);
	return ERR_DENIED;
}

/* ---- rate limit: token bucket per (address, token), whole seconds ----------------------------------------------------------------- */

struct rate_key {
	u8 ip[16];
	u8 token[8];
};

struct bucket {
	u64 second, tokens;
};

static bool is_too_often(struct hub *h, const struct ip *ip, const char *token)
{
	struct bucket fresh = { h->now / NSEC_PER_SEC, h->cfg.rate_capacity }, *b;
	struct rate_key key;
	u8 digest[SHA256_LEN];

	memcpy(key.ip, ip->b, sizeof(key.ip));
	sha256(digest, SPAN(token, strlen(token)));
	memcpy(key.token, digest, sizeof(key.token));
	b = lru_get(&h->rate, &key);
	if (b) {
		u64 gained = time_since(fresh.second, b->second) * h->cfg.rate_refill;
		fresh.tokens = MIN(b->tokens + gained, (u64)h->cfg.rate_capacity);
	}
	bool is_refused = fresh.tokens == 0;
	fresh.tokens -= !is_refused;
	lru_put(&h->rate, &key, &fresh);
	return is_refused;
}

/* ---- token -------------------------------------------------------------------------------------------------------------------------- */

static const struct {
	enum token_type type;
	enum kind kind;
	const char *whose;
} token_of_role[] = {
	[MSG_ROLE_CLIENT] = { TOKEN_CLIENT, KIND_CLIENT_TOKEN, "a client" },
	[MSG_ROLE_GATEWAY] = { TOKEN_GATEWAY, KIND_GATEWAY_TOKEN, "a gateway" },
	[MSG_ROLE_RELAY] = { TOKEN_RELAY, KIND_RELAY_TOKEN, "a relay" },
};

/* For people who pasted the wrong one. Only a token that this portal made is told apart, by its mac. */
static void say_why_invalid(struct hub *h, const struct phx_upgrade *u, struct hub_refusal *r)
{
	struct token_claim claim;

	for (enum msg_role role = MSG_ROLE_CLIENT; role <= MSG_ROLE_RELAY; role++) {
		if (token_open(&claim, token_of_role[role].type, u->token, h->cfg.secrets))
			continue;
		if (role == u->role)
			snprintf(r->detail, sizeof(r->detail), "Invalid token: it was revoked or is too old");
		else
			snprintf(r->detail, sizeof(r->detail), "Invalid token: it is for %s, this is %s", token_of_role[role].whose,
				 token_of_role[u->role].whose);
		break;
	}
	sodium_memzero(&claim, sizeof(claim));
}

static int check_token_row(struct hub *h, enum msg_role role, const struct token_claim *claim, const struct token *row)
{
	const struct account *account;
	const struct actor *actor;

	if (!token_matches(claim, row))
		return ERR_AUTH;
	if (role != MSG_ROLE_CLIENT)
		return 0;
	account = directory_account(&h->dir, &row->e.account_id);
	actor = directory_get(&h->dir, KIND_ACTOR, &row->e.account_id, &row->owner_id);
	if (!account || account->disabled_at || !actor || actor->disabled_at || row->expires_at <= (i64)(h->wall / 1000))
		return ERR_AUTH;
	return 0;
}

/* ERR_AUTH: definitely not valid; ERR_IO and the like: we could not find out. */
static int authenticate(struct hub *h, const struct phx_upgrade *u, struct token *out)
{
	enum kind kind = token_of_role[u->role].kind;
	struct token_claim claim;
	int rc = token_open(&claim, token_of_role[u->role].type, u->token, h->cfg.secrets);

	if (!rc) {
		rc = store_get(h->cfg.store, kind, &claim.account_id, &claim.id, out);
		if (rc == ERR_NOT_FOUND) {
			rc = ERR_AUTH;
		} else if (!rc) {
			rc = check_token_row(h, u->role, &claim, out);
			if (rc)
				entity_deinit(kind, out);
		}
	}
	sodium_memzero(&claim, sizeof(claim));
	return rc;
}

/* ---- limits (spec 60 §11) ------------------------------------------------------------------------------------------------------------ */

static bool is_over(struct hub *h, enum store_count what, const struct uuid *account, i64 limit)
{
	i64 n;

	return limit >= 0 && store_count(h->cfg.store, what, account, &n) == 0 && n > limit;
}

static bool exceeds_limits(struct hub *h, const struct uuid *account_id)
{
	const struct account *a = directory_account(&h->dir, account_id);

	return a && (is_over(h, COUNT_USERS, account_id, a->limit_users) ||
		     is_over(h, COUNT_SERVICE_ACCOUNTS, account_id, a->limit_service_accounts));
}

/* ---- the device ------------------------------------------------------------------------------------------------------------------------ */

static void random_word(struct hub *h, char *out, size_t n)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz123456789";

	for (size_t i = 0; i < n; i++)
		out[i] = letters[rng_below(h->cfg.rng, sizeof(letters) - 1)];
	out[n] = '\0';
}

static int fill_device(struct hub *h, struct device *d, const struct token *token, const struct phx_upgrade *u)
{
	char name[8];
	int rc;

	d->e.account_id = token->e.account_id;
	d->e.id = hub_new_id(h);
	d->owner_id = token->owner_id;
	rng_fill(h->cfg.rng, d->psk_base, sizeof(d->psk_base));
	random_word(h, name, 5);
	rc = text_set(&d->external_id, u->external_id);
	rc = rc ? rc : text_set(&d->name, u->name[0] ? u->name : name);
	if (rc || u->role != MSG_ROLE_CLIENT)
		return rc;
	struct client *c = container_of(d, struct client, d);
	rc = text_set(&c->device_serial, u->device_serial);
	rc = rc ? rc : text_set(&c->device_uuid, u->device_uuid);
	rc = rc ? rc : text_set(&c->identifier_for_vendor, u->identifier_for_vendor);
	return rc ? rc : text_set(&c->firebase_installation_id, u->firebase_installation_id);
}

static int create_device(struct hub *h, enum kind kind, void *row, const struct token *token, const struct phx_upgrade *u,
			 struct complaint *c)
{
	struct store *s = h->cfg.store;
	int rc;

	entity_init(kind, row);
	rc = fill_device(h, row, token, u);
	rc = rc ? rc : check_device(kind, row, c);
	if (!rc) {
		rc = store_begin(s, STORE_DURABLE);
		rc = rc ? rc : store_insert_device(s, kind, row, h->wall);
		rc = rc ? store_rollback(s, rc) : store_commit(s);
	}
	if (rc)
		entity_deinit(kind, row);
	return rc;
}

/* The device's row as it is, or a new one with two addresses (spec 10 §1.5). */
static int find_or_create_device(struct hub *h, const struct token *token, const struct phx_upgrade *u, void **out, struct complaint *c)
{
	enum kind kind = u->role == MSG_ROLE_CLIENT ? KIND_CLIENT : KIND_GATEWAY;
	char external_id[PHX_PARAM_STRLEN];
	union any_entity row;
	int rc;

	snprintf(external_id, sizeof(external_id), "%s", u->external_id);
	rc = store_find_device(h->cfg.store, kind, &token->e.account_id, &token->owner_id, external_id, &row);
	if (rc == ERR_NOT_FOUND)
		rc = create_device(h, kind, &row, token, u, c);
	if (rc)
		return rc;
	*out = entity_dup(kind, &row);
	entity_deinit(kind, &row);
	return *out ? 0 : ERR_NOMEM;
}

static void note_session(struct hub *h, const struct peer *p, const struct hub_request *rq)
{
	struct store_session *s;

	if (h->n_sessions == SESSION_BUFFER_MAX) {
		h->stats.limits_reached++;
		return;
	}
	s = &h->sessions[h->n_sessions++];
	memset(s, 0, sizeof(*s));
	s->account_id = p->account_id;
	s->device_id = p->id;
	s->token_id = p->token_id;
	s->is_gateway = p->role == MSG_ROLE_GATEWAY;
	s->at = (i64)(h->wall / 1000);
	memcpy(s->public_key, p->public_key, sizeof(s->public_key));
	memcpy(s->region, rq->region, sizeof(rq->region));
	memcpy(s->city, rq->city, sizeof(s->city));
	s->place = rq->place;
	ip_format(&p->remote_ip, s->remote_ip);
	snprintf(s->version, sizeof(s->version), "%s", p->peer_version.text);
	snprintf(s->user_agent, sizeof(s->user_agent), "%s", p->user_agent);
	if (h->session_flush_due == TIME_NEVER)
		h->session_flush_due = h->now + SESSION_FLUSH_INTERVAL;
	if (h->n_sessions >= SESSION_BUFFER_MAX / 2)
		h->session_flush_due = h->now;
}

/* ---- the peer ----------------------------------------------------------------------------------------------------------------------------- */

static void fill_client(struct peer *p, const struct token *token, const struct hub_request *rq)
{
	struct subject *s = &p->client.subject;

	s->account_id = p->account_id;
	s->actor_id = p->owner_id;
	s->remote_ip = rq->remote_ip;
	memcpy(s->region, rq->region, sizeof(s->region));
	s->auth_provider = token->auth_provider_id;
	s->is_verified = ((struct client *)p->row)->verified_at != 0;
	s->version = p->peer_version;
	s->knows_pools = device_knows_pools(p);
	s->expires_at = token->expires_at / 1000000;
	s->zones = p->hub->cfg.zones;
}

static int fill_relay(struct peer *p, const struct phx_upgrade *u, struct hub_refusal *r)
{
	char *end;
	long port = strtol(u->port, &end, 10);

	if (*end || port < 1 || port > 65535)
		return refuse(r, 400, "invalid_connect_params", "port is invalid", 0);
	if ((u->ipv4[0] && (ip_parse(SPAN(u->ipv4, strlen(u->ipv4)), &p->relay.v4.ip) || p->relay.v4.ip.family != 4)) ||
	    (u->ipv6[0] && (ip_parse(SPAN(u->ipv6, strlen(u->ipv6)), &p->relay.v6.ip) || p->relay.v6.ip.family != 6)))
		return refuse(r, 400, "invalid_connect_params", "ipv4 or ipv6 is not an address", 0);
	if (!u->ipv4[0] && !u->ipv6[0])
		return refuse(r, 400, "invalid_connect_params", "ipv4 or ipv6 is required", 0);
	p->relay.v4.port = u->ipv4[0] ? (u16)port : 0;
	p->relay.v6.port = u->ipv6[0] ? (u16)port : 0;
	return 0;
}

static int fill_peer(struct peer *p, const struct token *token, const struct hub_request *rq, struct hub_refusal *r)
{
	const struct phx_upgrade *u = rq->upgrade;
	struct complaint c = { .reason = "" };
	int rc;

	p->owner_id = token->owner_id;
	p->token_id = token->e.id;
	p->account_id = token->e.account_id;
	p->remote_ip = rq->remote_ip;
	p->place = rq->place;
	p->peer_version = version_read(u->peer.text);
	p->user_agent = strdup(u->user_agent);
	if (!p->user_agent)
		return ERR_NOMEM;
	if (u->role == MSG_ROLE_RELAY)
		return fill_relay(p, u, r);
	if (strlen(u->public_key) != PUBLIC_KEY_LEN ||
	    base64_decode(p->key, sizeof(p->key), SPAN(u->public_key, PUBLIC_KEY_LEN)) != sizeof(p->key))
		return refuse(r, 400, "invalid_connect_params", "public_key should be 44 character(s) of base64", 0);
	memcpy(p->public_key, u->public_key, sizeof(p->public_key));
	rc = find_or_create_device(p->hub, token, u, &p->row, &c);
	if (rc == ERR_INVAL) {
		char detail[300];
		snprintf(detail, sizeof(detail), "%s %s", c.field, c.reason);
		return refuse(r, 400, "invalid_connect_params", detail, 0);
	}
	if (rc)
		return rc;
	p->id = peer_device(p)->e.id;
	if (u->role == MSG_ROLE_CLIENT)
		fill_client(p, token, rq);
	return 0;
}

static int make_peer(struct hub *h, const struct token *token, const struct hub_request *rq, struct peer **out, struct hub_refusal *r)
{
	struct peer *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return ERR_NOMEM;
	p->hub = h;
	p->role = rq->upgrade->role;
	p->version = rq->upgrade->version;
	p->next_minute = TIME_NEVER;
	rc = fill_peer(p, token, rq, r);
	if (!rc) {
		p->socket = phx_socket_new(p->role, p->version, h->cfg.rng, h->now);
		rc = p->socket ? index_put(&h->all, p) : ERR_NOMEM;
		rc = rc ? rc : index_put(&h->by_token, p);
	}
	if (rc) {
		peer_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

static int judge(struct hub *h, const struct hub_request *rq, struct peer **out, struct hub_refusal *r)
{
	const struct phx_upgrade *u = rq->upgrade;
	enum kind kind = token_of_role[u->role].kind;
	struct token token;
	char detail[512];
	int rc;

	if (h->all.n >= PEERS_MAX) {
		h->stats.limits_reached++;
		return refuse(r, 503, "overloaded", "Too many connections", 5);
	}
	if (u->token[0] && is_too_often(h, &rq->remote_ip, u->token)) {
		h->stats.refused_rate++;
		return refuse(r, 503, "rate_limit", "Rate limit exceeded", 1);
	}
	rc = u->token[0] ? authenticate(h, u, &token) : ERR_AUTH;
	if (rc == ERR_AUTH) {
		h->stats.refused_token++;
		if (!u->token[0])
			return refuse(r, 401, "missing_token", "Missing token", 0);
		rc = refuse(r, 401, "invalid_token", "Invalid token", 0);
		say_why_invalid(h, u, r);
		return rc;
	}
	if (rc)
		return rc;
	h->stats.refused_other++;
	if (u->role == MSG_ROLE_CLIENT && exceeds_limits(h, &token.e.account_id)) {
		rc = refuse(r, 402, "limits_exceeded", "Account limits are exceeded", 0);
	} else {
		int status = phx_upgrade_check(u, detail, sizeof(detail));
		rc = status ? refuse(r, (u16)status, "invalid_connect_params", detail, 0) : make_peer(h, &token, rq, out, r);
	}
	h->stats.refused_other -= rc == 0;
	entity_deinit(kind, &token);
	return rc;
}

int hub_admit(struct hub *h, u64 now, u64 wall, const struct hub_request *rq, void *conn, struct peer **out, struct hub_refusal *refusal)
{
	int rc;

	h->now = now;
	h->wall = wall;
	memset(refusal, 0, sizeof(*refusal));
	rc = judge(h, rq, out, refusal);
	if (rc && rc != ERR_DENIED) {
		hub_store_failed(h, "a connect could not be judged", rc);
		rc = refuse(refusal, 503, "unavailable", "The portal cannot store data now", 5);
	}
	if (rc)
		return rc;
	h->stats.connects++;
	(*out)->conn = conn;
	if (rq->upgrade->role != MSG_ROLE_RELAY)
		note_session(h, *out, rq);
	peer_arm(*out);
	return 0;
}
