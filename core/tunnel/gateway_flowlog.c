#define LOG_TARGET "tunnel::gateway"
#include "core/tunnel/gateway_flowlog.h"

#include "core/base/calendar.h"
#include "core/base/cursor.h"
#include "core/base/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The optional texts of an authorization, in the order of a line (spec 40 §13). */
#define ABOUT_CLIENT(X)                                                         \
	X(client_version, client.version)                                       \
	X(device_os_name, client.device_os_name)                                \
	X(device_os_version, client.device_os_version)                          \
	X(device_serial, client.device_serial)                                  \
	X(device_uuid, client.device_uuid)                                      \
	X(device_identifier_for_vendor, client.identifier_for_vendor)           \
	X(device_firebase_installation_id, client.firebase_installation_id)     \
	X(auth_provider_id, subject.auth_provider_id)                           \
	X(actor_name, subject.actor_name)                                       \
	X(actor_id, subject.actor_id)                                           \
	X(actor_email, subject.actor_email)

struct flow_about {
	u32 references;
	struct uuid client, resource;
#define X(name, member) const char *name;
	ABOUT_CLIENT(X)
#undef X
	const char *resource_name;
	const char *resource_address; /* NULL: the Internet, whose address goes by family */
	char text[];
};

/* No padding: it is hashed. */
struct flowlog_key {
	struct uuid client, resource;
	struct ip client_ip, resource_ip;
	u8 port[4]; /* of the client, of the resource; big-endian */
	u8 kind;    /* enum l4_kind */
};
static_assert(sizeof(struct flowlog_key) == 32 + 2 * sizeof(struct ip) + 5, "a key is hashed byte by byte");

struct flow_link {
	struct flow_link *next, *prev;
};

struct flow {
	struct flow_link link; /* first: a list of flows is a list of links */
	struct flowlog_key key;
	struct flow_about *about;
	struct flow_outer outer;
	u64 start, last, end; /* monotonic */
	u64 start_wall;
	u64 rx_packets, tx_packets, rx_bytes, tx_bytes;
	bool has_fin_rx, has_fin_tx;
	char domain[FLOW_DOMAIN_MAX];
};

struct flowlog {
	struct table index; /* of open and closing flows */
	struct flow *slots;
	u32 n_touched; /* slots that were ever in use */
	struct flow *free_list; /* through link.next */
	struct flow_link open;  /* in the order of their last packets, oldest first */
	struct flow_link closing, done;
	u64 next_tick;
	u64 told_refused;
	const struct udp_rx *rx;
	size_t n_rx, at_rx;
	struct flowlog_stats stats;
};

/* --- lists --------------------------------------------------------------------------------------------------------------------------- */

static void list_init(struct flow_link *head)
{
	head->next = head->prev = head;
}

static void list_unlink(struct flow_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

static void list_append(struct flow_link *head, struct flow_link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static struct flow *list_first(const struct flow_link *head)
{
	return head->next == head ? NULL : container_of(head->next, struct flow, link);
}

static void list_move(struct flow_link *head, struct flow *w)
{
	list_unlink(&w->link);
	list_append(head, &w->link);
}

/* --- who and what ---------------------------------------------------------------------------------------------------------------------- */

static size_t text_len(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *text_put(char **at, const char *text)
{
	char *copy = *at;

	if (!text)
		return NULL;
	memcpy(copy, text, strlen(text) + 1);
	*at += strlen(text) + 1;
	return copy;
}

struct flow_about *flow_about_new(const struct msg_authorize_flow *m)
{
	bool is_internet = m->resource.type == MSG_RESOURCE_INTERNET;
	const char *name = is_internet ? "Internet" : m->resource.name;
	const char *address = is_internet ? NULL : m->resource.address;
	size_t n = text_len(name) + text_len(address);

#define X(field, member) n += text_len(m->member);
	ABOUT_CLIENT(X)
#undef X
	struct flow_about *a = calloc(1, sizeof(*a) + n);
	if (!a)
		return NULL;
	char *at = a->text;
	a->references = 1;
	a->client = m->client.id;
	a->resource = m->resource.id;
#define X(field, member) a->field = text_put(&at, m->member);
	ABOUT_CLIENT(X)
#undef X
	a->resource_name = text_put(&at, name);
	a->resource_address = text_put(&at, address);
	return a;
}

void flow_about_drop(struct flow_about *a)
{
	if (a && --a->references == 0)
		free(a);
}

/* --- a line ------------------------------------------------------------------------------------------------------------------------------ */

static char *format_u64(const void *value, char buf[static KV_FORMAT_MAX])
{
	snprintf(buf, KV_FORMAT_MAX, "%" PRIu64, *(const u64 *)value);
	return buf;
}

static char *format_port(const void *value, char buf[static KV_FORMAT_MAX])
{
	snprintf(buf, KV_FORMAT_MAX, "%u", *(const u16 *)value);
	return buf;
}

static_assert(KV_FORMAT_MAX >= RFC3339_STRLEN, "a time is a formatted value");
static char *format_time(const void *value, char buf[static KV_FORMAT_MAX])
{
	return rfc3339_format(*(const u64 *)value, 9, buf);
}

#define kv_text_u(k, val) kv_format(k, (const u64 *)(val), format_u64) /* a string in JSON too, as the reference writes it */
#define kv_port(k, val) kv_format(k, (const u16 *)(val), format_port)
#define kv_time(k, val) kv_format(k, (const u64 *)(val), format_time)

/* Fields and their order are an interface: scripts read them (spec 40 §13). */
static void write_line(const struct flow *w)
{
	const struct flow_about *a = w->about;
	const char *target = w->key.kind == L4_TCP ? "flow_logs::tcp" : "flow_logs::udp";
	u64 end = w->start_wall + (w->end - w->start), last = w->start_wall + (w->last - w->start);
	u16 client_port = get_be16(w->key.port), resource_port = get_be16(w->key.port + 2);
	const char *internet = w->key.resource_ip.family == 4 ? "0.0.0.0/0" : "::/0";
	struct kv kv[48];
	size_t n = 0;

	if (!log_enabled(LOG_TRACE, target))
		return;
	kv[n++] = kv_uuid("client_id", &a->client);
#define X(name, member)         \
	if (a->name)            \
		kv[n++] = kv_s(#name, a->name);
	ABOUT_CLIENT(X)
#undef X
	kv[n++] = kv_uuid("resource_id", &a->resource);
	kv[n++] = kv_s("resource_name", a->resource_name);
	kv[n++] = kv_s("resource_address", a->resource_address ? a->resource_address : internet);
	kv[n++] = kv_time("start", &w->start_wall);
	kv[n++] = kv_time("end", &end);
	kv[n++] = kv_time("last_packet", &last);
	kv[n++] = kv_ip("inner_src_ip", &w->key.client_ip);
	kv[n++] = kv_ip("inner_dst_ip", &w->key.resource_ip);
	kv[n++] = kv_port("inner_src_port", &client_port);
	kv[n++] = kv_port("inner_dst_port", &resource_port);
	if (w->domain[0])
		kv[n++] = kv_s("inner_domain", w->domain);
	kv[n++] = kv_ip("outer_src_ip", &w->outer.remote.ip);
	kv[n++] = kv_ip("outer_dst_ip", &w->outer.local.ip);
	kv[n++] = kv_port("outer_src_port", &w->outer.remote.port);
	kv[n++] = kv_port("outer_dst_port", &w->outer.local.port);
	kv[n++] = kv_text_u("rx_packets", &w->rx_packets);
	kv[n++] = kv_text_u("tx_packets", &w->tx_packets);
	kv[n++] = kv_text_u("rx_bytes", &w->rx_bytes);
	kv[n++] = kv_text_u("tx_bytes", &w->tx_bytes);
	kv[n] = (struct kv){ .type = KV_END };
	log_emit(LOG_TRACE, target, w->key.kind == L4_TCP ? "TCP flow completed" : "UDP flow completed", kv);
}

/* --- flows ------------------------------------------------------------------------------------------------------------------------------- */

struct flowlog *flowlog_new(struct rng *rng)
{
	struct flowlog *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	table_init(&f->index, sizeof(struct flowlog_key), FLOWLOG_FLOWS_MAX, rng);
	f->slots = calloc(FLOWLOG_FLOWS_MAX, sizeof(*f->slots));
	list_init(&f->open);
	list_init(&f->closing);
	list_init(&f->done);
	f->next_tick = TIME_NEVER;
	if (f->slots)
		return f;
	flowlog_free(f);
	return NULL;
}

void flowlog_free(struct flowlog *f)
{
	if (!f)
		return;
	for (u32 i = 0; i < f->n_touched; i++)
		flow_about_drop(f->slots[i].about);
	table_deinit(&f->index);
	free(f->slots);
	free(f);
}

static struct flow *slot_take(struct flowlog *f)
{
	struct flow *w = f->free_list;

	if (w) {
		f->free_list = w->link.next ? container_of(w->link.next, struct flow, link) : NULL;
		return w;
	}
	return f->n_touched < FLOWLOG_FLOWS_MAX ? &f->slots[f->n_touched++] : NULL;
}

static void slot_give(struct flowlog *f, struct flow *w)
{
	flow_about_drop(w->about);
	w->about = NULL;
	w->link.next = f->free_list ? &f->free_list->link : NULL;
	f->free_list = w;
}

static void key_of(struct flowlog_key *key, const struct flow_about *a, enum l4_kind kind, const struct ip *client, u16 client_port,
		   const struct ip *resource, u16 resource_port)
{
	memset(key, 0, sizeof(*key));
	key->client = a->client;
	key->resource = a->resource;
	key->client_ip = *client;
	key->resource_ip = *resource;
	put_be16(key->port, client_port);
	put_be16(key->port + 2, resource_port);
	key->kind = (u8)kind;
}

static void complete(struct flowlog *f, struct flow *w, u64 end)
{
	w->end = end;
	(void)table_del(&f->index, &w->key);
	list_move(&f->done, w);
	f->stats.n_open--;
}

static void arrived(struct flowlog *f, struct flow *w, u64 now)
{
	w->last = now;
	if (w->has_fin_rx && w->has_fin_tx)
		list_move(&f->closing, w); /* until the tick: the last acknowledgements are still to come */
	else
		list_move(&f->open, w);
}

void flowlog_datagrams(struct flowlog *f, const struct udp_rx *rx, size_t n)
{
	f->rx = rx;
	f->n_rx = n;
	f->at_rx = 0;
}

/* Packets are decrypted where they arrived and come in that order. One that was kept while its connection was made lies elsewhere. */
static struct flow_outer outer_of(struct flowlog *f, const u8 *data, const struct flow_outer *otherwise)
{
	uintptr_t at = (uintptr_t)data;

	for (size_t tried = 0; tried < f->n_rx; tried++) {
		const struct udp_rx *rx = &f->rx[(f->at_rx + tried) % f->n_rx];
		if (at < (uintptr_t)rx->data || at >= (uintptr_t)rx->data + rx->len)
			continue;
		f->at_rx = (f->at_rx + tried) % f->n_rx;
		return (struct flow_outer){ rx->local, rx->remote };
	}
	return *otherwise;
}

static bool outer_eq(const struct flow_outer *a, const struct flow_outer *b)
{
	return endpoint_eq(&a->local, &b->local) && endpoint_eq(&a->remote, &b->remote);
}

static void begin(struct flowlog *f, u64 now, u64 wall, struct flow_about *a, const struct flowlog_key *key, const struct flow_outer *outer,
		  const char *domain, u32 bytes)
{
	struct flow *w = slot_take(f);

	if (!w || table_put(&f->index, key, w)) {
		f->stats.n_refused++;
		if (w)
			slot_give(f, w);
		return;
	}
	*w = (struct flow){ .key = *key, .about = a, .outer = *outer, .start = now, .last = now, .start_wall = wall, .tx_packets = 1,
			    .tx_bytes = bytes };
	a->references++;
	if (domain)
		snprintf(w->domain, sizeof(w->domain), "%s", domain);
	list_append(&f->open, &w->link);
	f->stats.n_open++;
	if (f->next_tick == TIME_NEVER)
		f->next_tick = time_add(now, FLOWLOG_TICK);
}

void flowlog_from_client(struct flowlog *f, u64 now, u64 wall, struct flow_about *a, const u8 *data, const struct packet *p,
			 const char *domain, const struct flow_outer *otherwise)
{
	struct flowlog_key key;
	u32 bytes = packet_payload_len(data, p);
	bool is_tcp = p->kind == L4_TCP, is_fin = is_tcp && (p->tcp_flags & TCP_FIN), is_rst = is_tcp && (p->tcp_flags & TCP_RST);

	if (!is_tcp && p->kind != L4_UDP)
		return;
	key_of(&key, a, p->kind, &p->src, p->src_port, &p->dst, p->dst_port);
	struct flow_outer outer = outer_of(f, data, otherwise);
	struct flow *w = table_get(&f->index, &key);
	if (w && (!outer_eq(&w->outer, &outer) || (is_tcp && (p->tcp_flags & TCP_SYN)))) {
		complete(f, w, now);
		begin(f, now, wall, a, &key, &outer, domain, bytes);
		return;
	}
	if (!w) {
		if (!is_fin && !is_rst)
			begin(f, now, wall, a, &key, &outer, domain, bytes);
		return;
	}
	w->tx_packets++;
	w->tx_bytes += bytes;
	w->has_fin_tx |= is_fin;
	arrived(f, w, now);
	if (is_rst)
		complete(f, w, now);
}

void flowlog_from_resource(struct flowlog *f, u64 now, const struct flow_about *a, const struct packet *p, u32 n, u32 bytes)
{
	struct flowlog_key key;

	if (p->kind != L4_TCP && p->kind != L4_UDP)
		return;
	key_of(&key, a, p->kind, &p->dst, p->dst_port, &p->src, p->src_port);
	struct flow *w = table_get(&f->index, &key);
	if (!w)
		return;
	w->rx_packets += n;
	w->rx_bytes += bytes;
	w->has_fin_rx |= p->kind == L4_TCP && (p->tcp_flags & TCP_FIN);
	arrived(f, w, now);
	if (p->kind == L4_TCP && (p->tcp_flags & TCP_RST))
		complete(f, w, now);
}

void flowlog_tick(struct flowlog *f, u64 now)
{
	struct flow *w;

	while ((w = list_first(&f->open)) && time_since(now, w->last) > FLOW_IDLE)
		complete(f, w, now);
	while ((w = list_first(&f->closing)))
		complete(f, w, w->last);
	while ((w = list_first(&f->done))) {
		write_line(w);
		f->stats.n_written++;
		list_unlink(&w->link);
		slot_give(f, w);
	}
	if (f->stats.n_refused > f->told_refused) {
		log_warn("flows are not recorded, there are too many", kv_u("flows", f->stats.n_refused - f->told_refused));
		f->told_refused = f->stats.n_refused;
	}
	f->next_tick = f->stats.n_open > 0 ? time_add(now, FLOWLOG_TICK) : TIME_NEVER;
}

u64 flowlog_next_tick(const struct flowlog *f)
{
	return f->next_tick;
}

const struct flowlog_stats *flowlog_stats(const struct flowlog *f)
{
	return &f->stats;
}
