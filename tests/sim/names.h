/* tests/sim/names.h: names in the simulated world: DNS resources, the site's resolver, resolvers outside, and programs that ask and connect.
 *
 *	sim_names_new(w)        adds DNS resources to the portal's policy and draws who knows which name
 *	sim_names_dial(w, …)    a program that asks a sentinel, connects to what it got, and asks again when nobody answers
 *	sim_names_ask(w, …)     one question whose answer is only judged
 *
 * The oracle knows by itself what a pattern matches, which resource a packet belongs to, what each question must be answered with, and which
 * addresses a name ever had in the site. It judges
 *	each answer       at most one, from the sentinel that was asked, with the asker's id and question, within NAMES_PATIENCE; what it says
 *	proxy addresses   of the ranges, never a sentinel, the same ones for a name while the client lives, no two names share one
 *	each resolution   only names that a resource at the gateway matches
 *	each packet       reaches an address that the name of its proxy address had in the site, and the one it reached before while its
 *	                  flow lives
 *	each question outside   is not about a name of the policy
 * DNS messages are written and read by names_wire.c, apart from core/dns.
 */
#pragma once

#include "tests/sim/world.h"

#define NAMES 15u
#define NAMES_RESOURCES 6u
#define NAMES_PER_FAMILY 4u /* proxy addresses of a name (spec 30 §9.3) */
#define NAMES_APPS 16u
#define NAMES_QUERIES 512u /* remembered */
#define NAMES_HISTORY 64u  /* addresses that a name ever had */
#define NAMES_PATIENCE SEC(6)       /* 5 s of a query outside (spec 30 §1.2), and the asker's own turn */
#define NAMES_PATIENCE_SITE SEC(11) /* 10 s through the tunnel */
#define NAMES_BIG 4000u             /* octets of the long answer */

/* One that means something else outside, and from NAME_GHOST on those that are no names of the site. */
enum { NAME_SPLIT = 1, NAME_GHOST = 10, NAME_PUBLIC, NAME_BIG, NAME_NOBODY, NAME_CANARY };
enum name_type { TYPE_A = 1, TYPE_PTR = 12, TYPE_MX = 15, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_HTTPS = 65 };

/* --- names_wire.c: the DNS as a textbook has it */

struct wire_question {
	u16 id, flags;
	char name[256]; /* as asked */
	u16 type;
	u32 end; /* octets of header and question */
	bool has_edns;
};

struct wire_answer {
	u16 id, flags;
	char name[256];
	u16 type, n_records;
	struct ip ips[16];
	u32 ttl;
	size_t n_ips;
	char target[256]; /* of a PTR record */
	u32 text_len;     /* octets of the first TXT record, and their sum */
	u32 text_sum;
};

u32 wire_query(u8 *out, u16 id, const char *name, u16 type, bool has_edns);
bool wire_read_query(const u8 *p, size_t n, struct wire_question *out);
/* Answers of a server. Each appends one record; header counts follow. */
u32 wire_reply(u8 *out, const u8 *query, const struct wire_question *q, u16 flags);
u32 wire_add(u8 *out, u32 len, u16 type, u32 ttl, const void *data, u16 n);
bool wire_read_answer(const u8 *p, size_t n, struct wire_answer *out);

/* --- names.c */

enum site_mode { SITE_BOTH, SITE_V4, SITE_V6, SITE_UNKNOWN_NAME, SITE_FAILS, SITE_SLOW, SITE_STUCK, SITE_MODES };
enum server_kind { SERVER_HONEST, SERVER_SLOW, SERVER_LIES_FIRST, SERVER_TRUNCATES, SERVER_LIES, SERVER_SILENT, SERVER_FAILS, SERVER_KINDS };

struct names_query {
	u32 serial; /* 0: free */
	unsigned name;
	u16 id, type, port;
	struct ip sentinel;
	enum server_kind kind; /* of the server behind the sentinel */
	bool is_tcp, is_answered, is_excused; /* excused: no answer is right, too */
	bool may_fail;                       /* SERVFAIL is right, too */
	bool has_edns;
	struct names_app *app; /* NULL: nobody connects to what is found */
	u64 asked_at;
	enum { EXPECT_PROXIES, EXPECT_EMPTY, EXPECT_SITE, EXPECT_NAME, EXPECT_OUTSIDE, EXPECT_CANARY } expect;
	char text[256]; /* of the question */
	u32 seq, ack;   /* TCP */
	u8 *stream;
	u32 stream_len;
	bool is_closed;
};

struct names_app {
	bool is_used, is_endless;
	unsigned name;
	u8 family, proto;
	u16 port;
	u32 query; /* serial; 0: none under way */
	bool is_over_tcp;
	struct sim_probe *probe;
	u64 next_at; /* it does something */
	bool is_connected;
};

struct names_flow { /* as the far end sees it */
	u8 proto;
	u16 port;
	struct ip proxy, target;
	u64 last;
};

struct names_exchange {
	struct names_exchange *next;
	u64 at;
	u32 id;
	bool is_vouched; /* TCP: no sender is told */
	int error;
	struct endpoint from;
	u32 len;
	u8 data[];
};

struct names_resolution {
	struct names_resolution *next;
	u64 at, token;
	unsigned name;
	bool is_failed;
};

struct sim_names {
	struct names_place {
		enum site_mode mode;
		struct ip ips[6];
		size_t n;
		struct ip history[NAMES_HISTORY]; /* ever told to this gateway */
		unsigned n_history;
		struct ip proxies[2][NAMES_PER_FAMILY]; /* of this client process */
		bool has_record, has_proxies; /* it was asked for; and its addresses are known */
	} places[NAMES];
	struct names_server {
		struct ip ip;
		enum server_kind kind;
	} servers[3];
	size_t n_servers;
	struct ip sentinels[4], behind[4]; /* as the TUN configuration says */
	size_t n_sentinels;
	struct names_query queries[NAMES_QUERIES];
	u32 last_serial, open[NAMES_QUERIES]; /* those that wait */
	size_t n_open;
	struct names_app apps[NAMES_APPS];
	struct names_flow flows[256];
	u64 stable_at; /* from when on flows keep their targets */
	/* The client was started again and this gateway was not: the first name with another number than before ends all flows (spec 40 §9.4). */
	bool may_renumber;
	struct names_sent {
		u64 id;
		unsigned name;
		struct ip proxy;
		u8 proto;
		u16 port;
		bool is_unknown; /* some addresses in use were not seen yet */
	} sent[SIM_TAKEN_MAX];
	struct names_exchange *exchanges;
	struct names_resolution *resolutions;
	struct names_packet {
		struct names_packet *next;
		u32 len;
		u8 data[TUNNEL_MTU];
	} *packets, **last_packet; /* for the client's TUN */
	u64 granted_since[SIM_RESOURCES]; /* when the client was told; TIME_NEVER: it does not have it */
	u64 n_answers, n_resolutions, n_exchanges, n_connects;
};

void sim_names_new(struct world *w);
void sim_names_free(struct world *w);

/* Matches as the resource's pattern does (spec 30 §8.1). */
const char *sim_names_text(unsigned name);
bool sim_names_stack_has(enum msg_ip_stack stack, u8 family);
bool sim_names_resource_has(const struct sim_resource *r, unsigned name);
/* The resource a packet to this name goes to in the client's eyes (spec 30 §4.1); NULL: none. */
const struct sim_resource *sim_names_route(const struct world *w, unsigned name, u8 proto, u16 port);
/* A packet that must arrive: family, protocol and port drawn among what policy, stack and site allow; false when there is nothing. */
bool sim_names_choose(struct world *w, unsigned name, u64 margin, u8 *family, u8 *proto, u16 *port);

struct names_app *sim_names_dial(struct world *w, unsigned name, u8 family, u8 proto, u16 port);
void sim_names_ask(struct world *w, unsigned name, u16 type, bool is_tcp);
void sim_names_silence(struct world *w); /* forgets all programs */

/* Disturbances. */
void sim_names_draw_place(struct world *w, unsigned name, bool is_calm); /* other addresses, another mood of its resolver */
void sim_names_draw_servers(struct world *w);
void sim_names_set_servers(struct world *w);
void sim_names_restart_client(struct world *w, bool says_goodbye);
void sim_names_unsettle(struct world *w); /* flows may break from here on for a while */

/* --- names_apps.c */
u64 sim_names_next_of_programs(const struct world *w);
void sim_names_turn_of_programs(struct world *w);
/* The client is gone, and who asked it. */
void sim_names_forget_queries(struct world *w);
/* From here on questions under way may fail, those over TCP without a word. */
void sim_names_excuse(struct world *w);

/* --- what world.c tells */
u64 sim_names_next(const struct world *w);
void sim_names_turn(struct world *w);
bool sim_names_pump(struct world *w);
void sim_names_configured(struct world *w, const struct client_tun_config *c);
void sim_names_exchanges(struct world *w);
void sim_names_resolve(struct world *w, u64 token, const char *domain);
void sim_names_gateway_gone(struct world *w);
void sim_names_sent(struct world *w, u64 id, const struct sim_probe *q);
/* At the client's TUN: true when it was DNS. */
bool sim_names_at_client(struct world *w, const u8 *data, const struct packet *p);
bool sim_names_at_site_server(struct world *w, const u8 *data, const struct packet *p);
bool sim_names_is_target(const struct ip *ip);
bool sim_names_is_proxy(const struct ip *ip);
void sim_names_at_target(struct world *w, const struct packet *p, u64 id);
/* The client may hear from this address. */
bool sim_names_client_may(const struct world *w, const struct ip *ip);
/* The client was told of the resource, or that it is gone. */
void sim_names_told(struct world *w, const struct sim_resource *r);
