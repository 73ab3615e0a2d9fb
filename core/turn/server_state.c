/* What the TURN server remembers: allocations, channels, permissions (spec 50 §4). */
#define LOG_TARGET "relay"
#include "core/base/log.h"
#include "core/crypto/key.h"
#include "core/turn/server_int.h"

#include <stdlib.h>

/* Table keys: every byte is set, as table.h demands. */
struct client_key {
	u8 ip[16];
	u8 family;
	u8 zero;
	u8 port[2];
};

struct number_key {
	u8 alloc_port[2];
	u8 number[2];
};

struct peer_key {
	u8 ip[16];
	u8 family;
	u8 zero;
	u8 port[2];
	u8 alloc_port[2];
	u8 zero2[2];
};

struct permission_key {
	u8 ip[16];
	u8 family;
	u8 zero;
	u8 alloc_port[2];
};

static struct client_key client_key(const struct endpoint *e)
{
	struct client_key k = { .family = e->ip.family };

	memcpy(k.ip, e->ip.b, sizeof(k.ip));
	put_be16(k.port, e->port);
	return k;
}

static struct number_key number_key(const struct turn_alloc *a, u16 number)
{
	struct number_key k;

	put_be16(k.alloc_port, a->port);
	put_be16(k.number, number);
	return k;
}

static struct peer_key peer_key(const struct turn_alloc *a, const struct endpoint *peer)
{
	struct peer_key k = { .family = peer->ip.family };

	memcpy(k.ip, peer->ip.b, sizeof(k.ip));
	put_be16(k.port, peer->port);
	put_be16(k.alloc_port, a->port);
	return k;
}

static struct permission_key permission_key(const struct turn_alloc *a, const struct ip *ip)
{
	struct permission_key k = { .family = ip->family };

	memcpy(k.ip, ip->b, sizeof(k.ip));
	put_be16(k.alloc_port, a->port);
	return k;
}

/* --- the server -------------------------------------------------------------------------------------------------------------- */

static char *duplicate(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = malloc(n);

	if (copy)
		memcpy(copy, text, n);
	return copy;
}

static bool copy_text(char *out, size_t cap, const char *text)
{
	size_t n = strlen(text);

	if (n >= cap)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

static int copy_users(struct turn_server *s, const struct turn_server_config *cfg)
{
	if (cfg->n_users > TURN_USERS_MAX)
		return ERR_INVAL;
	s->users = calloc(cfg->n_users + 1, sizeof(*s->users));
	if (!s->users)
		return ERR_NOMEM;
	for (size_t i = 0; i < cfg->n_users; i++) {
		const struct turn_user *u = &cfg->users[i];
		if (strlen(u->name) > STUN_USERNAME_MAX || strlen(u->password) > STUN_USERNAME_MAX)
			return ERR_INVAL;
		s->users[i].name = duplicate(u->name);
		if (!s->users[i].name)
			return ERR_NOMEM;
		s->n_users++;
		stun_long_term_key(SPAN(u->name, strlen(u->name)), SPAN(s->realm, strlen(s->realm)),
				   SPAN(u->password, strlen(u->password)), s->users[i].key);
	}
	return 0;
}

static int copy_secret(char **out, const char *secret)
{
	*out = secret ? duplicate(secret) : NULL;
	return secret && !*out ? ERR_NOMEM : 0;
}

static void init_tables(struct turn_server *s)
{
	u32 ports = (u32)s->highest_port - s->lowest_port + 1;

	table_init(&s->by_client, sizeof(struct client_key), ports, s->rng);
	table_init(&s->by_user, sizeof(struct user_id), ports, s->rng);
	table_init(&s->by_number, sizeof(struct number_key), TURN_CHANNELS_MAX, s->rng);
	table_init(&s->by_peer, sizeof(struct peer_key), TURN_CHANNELS_MAX, s->rng);
	table_init(&s->permissions, sizeof(struct permission_key), TURN_PERMISSIONS_ALL, s->rng);
	heap_init(&s->alloc_timers, ports);
	heap_init(&s->channel_timers, TURN_CHANNELS_MAX);
	for (unsigned i = 0; i < 2; i++) {
		s->nonce_key[i] = siphash_key_draw(s->rng);
		s->user_key[i] = siphash_key_draw(s->rng);
	}
}

static int init_buffers(struct turn_server *s)
{
	size_t ports = (size_t)s->highest_port - s->lowest_port + 1;

	s->by_port = calloc(ports, sizeof(struct turn_alloc *));
	s->tx = calloc(TURN_TX_MAX, sizeof(*s->tx));
	s->pieces = calloc((size_t)TURN_TX_MAX * TURN_TX_PIECES, sizeof(*s->pieces));
	s->arena = malloc(ARENA_BYTES);
	if (!s->by_port || !s->tx || !s->pieces || !s->arena)
		return ERR_NOMEM;
	for (size_t i = 0; i < TURN_TX_MAX; i++)
		s->tx[i].pieces = s->pieces + i * TURN_TX_PIECES;
	return 0;
}

int turn_server_new(struct turn_server **out, const struct turn_server_config *cfg)
{
	struct turn_server *s;
	int rc;

	*out = NULL;
	if ((cfg->public4.family != 4 && cfg->public6.family != 6) || cfg->lowest_port > cfg->highest_port || cfg->lowest_port == 0)
		return ERR_INVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return ERR_NOMEM;
	s->rules = cfg->rules;
	s->public4 = cfg->public4;
	s->public6 = cfg->public6;
	s->lowest_port = cfg->lowest_port;
	s->highest_port = cfg->highest_port;
	s->has_many_per_user = cfg->has_many_per_user || cfg->rules == TURN_RULES_RFC;
	s->allows_loopback_peers = cfg->allows_loopback_peers;
	s->user_quota = cfg->user_quota;
	s->channel_max = cfg->has_wide_channels ? CHANNEL_MAX_WIDE : CHANNEL_MAX;
	s->rng = cfg->rng;
	s->ports = cfg->ports;
	init_tables(s);
	rc = copy_text(s->realm, sizeof(s->realm), cfg->realm) && copy_text(s->software, sizeof(s->software), cfg->software) ?
		     0 :
		     ERR_INVAL;
	if (rc == 0)
		rc = copy_users(s, cfg);
	if (rc == 0)
		rc = copy_secret(&s->stamp_secret, cfg->stamp_secret);
	if (rc == 0)
		rc = copy_secret(&s->static_auth_secret, cfg->static_auth_secret);
	if (rc == 0)
		rc = init_buffers(s);
	if (rc != 0)
		turn_server_free(s);
	else
		*out = s;
	return rc;
}

static void free_secret(char *secret)
{
	if (secret)
		secret_wipe(secret, strlen(secret));
	free(secret);
}

void turn_server_free(struct turn_server *s)
{
	if (!s)
		return;
	for (u32 i = 0; s->by_port && i <= (u32)s->highest_port - s->lowest_port; i++)
		if (s->by_port[i])
			alloc_delete(s, s->by_port[i], "server ends");
	table_deinit(&s->by_client);
	table_deinit(&s->by_user);
	table_deinit(&s->by_number);
	table_deinit(&s->by_peer);
	table_deinit(&s->permissions);
	heap_deinit(&s->alloc_timers);
	heap_deinit(&s->channel_timers);
	for (size_t i = 0; i < s->n_users; i++)
		free(s->users[i].name);
	if (s->users)
		secret_wipe(s->users, s->n_users * sizeof(*s->users));
	free(s->users);
	free_secret(s->stamp_secret);
	free_secret(s->static_auth_secret);
	free(s->by_port);
	free(s->tx);
	free(s->pieces);
	free(s->arena);
	free(s);
}

const struct turn_server_stats *turn_server_stats(const struct turn_server *s)
{
	return &s->stats;
}

static size_t table_bytes(const struct table *t)
{
	return (size_t)t->capacity * t->slot_size;
}

size_t turn_server_memory(const struct turn_server *s)
{
	return s->stats.allocations * sizeof(struct turn_alloc) + s->stats.channels * sizeof(struct turn_channel) +
	       s->permissions.count * sizeof(struct turn_permission) + table_bytes(&s->by_client) + table_bytes(&s->by_user) +
	       table_bytes(&s->by_number) + table_bytes(&s->by_peer) + table_bytes(&s->permissions) +
	       (s->alloc_timers.capacity + s->channel_timers.capacity) * sizeof(struct heap_node *);
}

/* --- allocations ------------------------------------------------------------------------------------------------------------- */

struct turn_alloc *alloc_of_client(struct turn_server *s, const struct endpoint *client)
{
	if (s->last_client && endpoint_eq(&s->last_client->client, client))
		return s->last_client;
	struct client_key k = client_key(client);
	struct turn_alloc *a = table_get(&s->by_client, &k);
	if (a)
		s->last_client = a;
	return a;
}

struct turn_alloc *alloc_of_user(const struct turn_server *s, const struct user_id *user)
{
	return table_get(&s->by_user, user);
}

bool alloc_ports_exhausted(const struct turn_server *s)
{
	return s->stats.allocations > (u64)s->highest_port - s->lowest_port;
}

static void close_ports(struct turn_server *s, struct turn_alloc *a)
{
	if (a->sock4)
		s->ports.close(s->ports.ctx, a->sock4);
	if (a->sock6)
		s->ports.close(s->ports.ctx, a->sock6);
	a->sock4 = a->sock6 = NULL;
}

static int open_ports(struct turn_server *s, struct turn_alloc *a)
{
	int rc = 0;

	if (a->has4)
		rc = s->ports.open(s->ports.ctx, a, a->port, 4, &a->sock4);
	if (rc == 0 && a->has6)
		rc = s->ports.open(s->ports.ctx, a, a->port, 6, &a->sock6);
	if (rc != 0)
		close_ports(s, a);
	return rc;
}

/* A random free port of the range, opened. Ports that other processes hold are skipped. */
static int take_port(struct turn_server *s, struct turn_alloc *a)
{
	u32 count = (u32)s->highest_port - s->lowest_port + 1;
	u32 i = (u32)rng_below(s->rng, count);
	unsigned taken = 0;

	for (u32 tries = 0; tries < count && taken < PORT_TRIES; tries++, i = (i + 1) % count) {
		if (s->by_port[i])
			continue;
		a->port = (u16)(s->lowest_port + i);
		int rc = open_ports(s, a);
		if (rc == 0) {
			s->by_port[i] = a;
			return 0;
		}
		if (rc != ERR_EXISTS) {
			log_warn("cannot open a port for an allocation", kv_u("port", a->port), kv_err(rc));
			return STUN_INSUFFICIENT_CAPACITY;
		}
		s->stats.ports_taken++;
		taken++;
	}
	return STUN_INSUFFICIENT_CAPACITY;
}

static int link_user(struct turn_server *s, struct turn_alloc *a)
{
	struct turn_alloc *first = table_get(&s->by_user, &a->user);
	int rc = table_put(&s->by_user, &a->user, a);

	if (rc != 0)
		return rc;
	a->user_next = first;
	if (first)
		first->user_prev = a;
	return 0;
}

static void unlink_user(struct turn_server *s, struct turn_alloc *a)
{
	if (a->user_next)
		a->user_next->user_prev = a->user_prev;
	if (a->user_prev)
		a->user_prev->user_next = a->user_next;
	else if (!a->user_next || table_put(&s->by_user, &a->user, a->user_next) != 0)
		(void)table_del(&s->by_user, &a->user); /* putting replaces: it cannot fail */
}

int alloc_create(struct turn_server *s, const struct turn_request *r, bool has4, bool has6, u32 lifetime, struct turn_alloc **out)
{
	struct turn_alloc *a = calloc(1, sizeof(*a));
	struct client_key k = client_key(&r->client);

	if (!a)
		return STUN_INSUFFICIENT_CAPACITY;
	a->client = r->client;
	a->local = r->local;
	a->user = r->user;
	a->has4 = has4;
	a->has6 = has6;
	memcpy(a->txid, r->m->txid, STUN_TXID);
	if (heap_reserve(&s->alloc_timers, s->alloc_timers.count + 1) != 0 || table_put(&s->by_client, &k, a) != 0)
		goto no_client;
	if (link_user(s, a) != 0)
		goto no_user;
	if (take_port(s, a) != 0)
		goto no_port;
	s->stats.allocations++;
	alloc_set_lifetime(s, a, r->now, lifetime);
	log_info("allocation created", kv_ep("client", &a->client), kv_u("port", a->port), kv_b("ipv4", has4), kv_b("ipv6", has6),
		 kv_u("lifetime_secs", lifetime));
	*out = a;
	return 0;

no_port:
	unlink_user(s, a);
no_user:
	(void)table_del(&s->by_client, &k);
no_client:
	free(a);
	return STUN_INSUFFICIENT_CAPACITY;
}

void alloc_set_lifetime(struct turn_server *s, struct turn_alloc *a, u64 now, u32 lifetime)
{
	a->expires = now + SEC(lifetime);
	(void)heap_arm(&s->alloc_timers, &a->timer, a->expires); /* reserved by alloc_create() */
}

static void channel_delete(struct turn_server *s, struct turn_channel *c);

void alloc_delete(struct turn_server *s, struct turn_alloc *a, const char *why)
{
	struct client_key k = client_key(&a->client);

	log_info("allocation deleted", kv_ep("client", &a->client), kv_u("port", a->port), kv_u("channels", a->n_channels),
		 kv_s("why", why));
	cancel_tx_of(s, a->sock4, a->sock6);
	while (a->channels)
		channel_delete(s, a->channels);
	for (struct turn_permission *p = a->permissions, *next; p; p = next) {
		struct permission_key pk = permission_key(a, &p->ip);
		next = p->next;
		(void)table_del(&s->permissions, &pk);
		free(p);
	}
	(void)table_del(&s->by_client, &k);
	unlink_user(s, a);
	heap_disarm(&s->alloc_timers, &a->timer);
	s->by_port[a->port - s->lowest_port] = NULL;
	if (s->last_client == a)
		s->last_client = NULL;
	close_ports(s, a);
	free(a);
	s->stats.allocations--;
}

/* --- channels ---------------------------------------------------------------------------------------------------------------- */

struct turn_channel *channel_by_number(const struct turn_server *s, const struct turn_alloc *a, u16 number)
{
	struct number_key k = number_key(a, number);
	return table_get(&s->by_number, &k);
}

struct turn_channel *channel_by_peer(const struct turn_server *s, const struct turn_alloc *a, const struct endpoint *peer)
{
	struct peer_key k = peer_key(a, peer);
	return table_get(&s->by_peer, &k);
}

int channel_create(struct turn_server *s, struct turn_alloc *a, u16 number, const struct endpoint *peer, u64 now)
{
	struct number_key nk = number_key(a, number);
	struct peer_key pk = peer_key(a, peer);
	struct turn_channel *c = calloc(1, sizeof(*c));

	if (!c)
		return STUN_INSUFFICIENT_CAPACITY;
	*c = (struct turn_channel){ .alloc = a, .peer = *peer, .number = number };
	c->is_own_ip = ip_eq(&peer->ip, ip_is_v4(&peer->ip) ? &s->public4 : &s->public6);
	if (heap_reserve(&s->channel_timers, s->channel_timers.count + 1) != 0 || table_put(&s->by_number, &nk, c) != 0)
		goto no_number;
	if (table_put(&s->by_peer, &pk, c) != 0)
		goto no_peer;
	c->next = a->channels;
	if (c->next)
		c->next->prev = c;
	a->channels = c;
	a->n_channels++;
	s->stats.channels++;
	channel_bind(s, c, now);
	return 0;

no_peer:
	(void)table_del(&s->by_number, &nk);
no_number:
	free(c);
	return STUN_INSUFFICIENT_CAPACITY;
}

void channel_bind(struct turn_server *s, struct turn_channel *c, u64 now)
{
	c->is_bound = true;
	c->expires = now + CHANNEL_LIFETIME;
	(void)heap_arm(&s->channel_timers, &c->timer, c->expires); /* reserved by channel_create() */
}

static void channel_delete(struct turn_server *s, struct turn_channel *c)
{
	struct turn_alloc *a = c->alloc;
	struct number_key nk = number_key(a, c->number);
	struct peer_key pk = peer_key(a, &c->peer);

	forget_tx_of(s, c);
	(void)table_del(&s->by_number, &nk);
	(void)table_del(&s->by_peer, &pk);
	heap_disarm(&s->channel_timers, &c->timer);
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		a->channels = c->next;
	if (a->last_number == c)
		a->last_number = NULL;
	if (a->last_peer == c)
		a->last_peer = NULL;
	a->n_channels--;
	s->stats.channels--;
	free(c);
}

/* --- permissions ------------------------------------------------------------------------------------------------------------- */

bool permission_holds(const struct turn_server *s, const struct turn_alloc *a, const struct ip *ip, u64 now)
{
	struct permission_key k = permission_key(a, ip);
	const struct turn_permission *p = a->n_permissions > 0 ? table_get(&s->permissions, &k) : NULL;

	return p && now < p->expires;
}

/* Makes room by dropping what has expired. */
static void sweep_permissions(struct turn_server *s, struct turn_alloc *a, u64 now)
{
	for (struct turn_permission **link = &a->permissions; *link;) {
		struct turn_permission *p = *link;
		if (now < p->expires) {
			link = &p->next;
			continue;
		}
		struct permission_key k = permission_key(a, &p->ip);
		(void)table_del(&s->permissions, &k);
		*link = p->next;
		a->n_permissions--;
		free(p);
	}
}

int permission_grant(struct turn_server *s, struct turn_alloc *a, const struct ip *ip, u64 now)
{
	struct permission_key k = permission_key(a, ip);
	struct turn_permission *p = table_get(&s->permissions, &k);

	if (p) {
		p->expires = now + PERMISSION_LIFETIME;
		return 0;
	}
	if (a->n_permissions >= TURN_PERMISSIONS_MAX)
		sweep_permissions(s, a, now);
	if (a->n_permissions >= TURN_PERMISSIONS_MAX)
		return STUN_INSUFFICIENT_CAPACITY;
	p = calloc(1, sizeof(*p));
	if (!p || table_put(&s->permissions, &k, p) != 0) {
		free(p);
		return STUN_INSUFFICIENT_CAPACITY;
	}
	*p = (struct turn_permission){ .next = a->permissions, .ip = *ip, .expires = now + PERMISSION_LIFETIME };
	a->permissions = p;
	a->n_permissions++;
	return 0;
}

/* --- time -------------------------------------------------------------------------------------------------------------------- */

static void channel_due(struct turn_server *s, struct turn_channel *c)
{
	if (c->is_bound) {
		log_info("channel expired", kv_ep("client", &c->alloc->client), kv_u("channel", c->number), kv_ep("peer", &c->peer));
		c->is_bound = false;
		(void)heap_arm(&s->channel_timers, &c->timer, c->expires + CHANNEL_COOLDOWN); /* has room: it was just taken out */
		return;
	}
	channel_delete(s, c);
}

void turn_server_timeout(struct turn_server *s, u64 now)
{
	struct heap_node *n;

	while ((n = heap_pop_due(&s->alloc_timers, now)))
		alloc_delete(s, container_of(n, struct turn_alloc, timer), "expired");
	while ((n = heap_pop_due(&s->channel_timers, now)))
		channel_due(s, container_of(n, struct turn_channel, timer));
}

u64 turn_server_next_timeout(const struct turn_server *s)
{
	return time_min(heap_next(&s->alloc_timers), heap_next(&s->channel_timers));
}
