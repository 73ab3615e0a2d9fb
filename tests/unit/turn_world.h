/* tests/unit/turn_world.h: a TURN server with make-believe ports, and clients that speak to it byte by byte. */
#pragma once

#include "core/base/err.h"
#include "core/base/rng.h"
#include "core/base/time.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "core/turn/credentials.h"
#include "core/turn/server.h"
#include "tests/unit/test.h"

#include <string.h>

#define WORLD_SECRET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define WORLD_SALT "kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY"
#define WORLD_USER "2145916800:" WORLD_SALT
#define WORLD_PASSWORD "4xl1v/gk+pPzA+09EeABUVJ5Ot3ayty2AsktF2zqpXo"
/* Where the tests' clients and their peers are. */
#define CLIENT "198.51.100.7:40000"
#define CLIENT6 "[2001:db8:7::7]:40000"
#define PEER "192.0.2.9:52625"
#define PEER6 "[2001:db8:9::9]:52625"
#define WORLD_OUT_MAX 512
#define WORLD_PORTS_MAX 256

/* A datagram that the server sent: a GSO run is taken apart. */
struct out {
	u16 from_port; /* 3478 or an allocation's port */
	u8 from_family;
	struct ip src;
	struct endpoint to;
	u16 n_in_run; /* how many shared its transmit */
	u8 data[2048];
	size_t n;
};

struct fake_port {
	struct turn_alloc *owner;
	u16 port;
	u8 family;
	bool is_open;
};

struct turn_world {
	u64 now, wall;
	struct rng_seeded rng;
	struct turn_server *s;
	struct turn_server_config cfg;
	struct fake_port ports[WORLD_PORTS_MAX];
	size_t n_open;
	int open_rc;      /* returned by the next `refusals` opens */
	u32 refusals;
	struct out out[WORLD_OUT_MAX];
	size_t n_out;
	u32 rounds; /* how often input had to be called */
};

struct turn_client {
	struct turn_world *w;
	struct endpoint addr;
	struct endpoint server;
	char username[STUN_USERNAME_MAX + 1], password[TURN_PASSWORD_SIZE];
	char nonce[64];
	u8 key[STUN_KEY];
	u32 txid;
};

/* A dual-stack Firezone relay 203.0.113.5 / 2001:db8::5, ports 50000..50099. Change cfg, then turn_world_start(). */
void turn_world_init(struct turn_world *w);
void turn_world_start(struct turn_world *w);
void turn_world_end(struct turn_world *w);
void turn_world_run_until(struct turn_world *w, u64 now);

/* Datagrams into the listening port; what comes out is appended to w->out. */
void turn_world_input(struct turn_world *w, const struct endpoint *from, struct span d);
/* A GRO run of equal datagrams. */
void turn_world_input_run(struct turn_world *w, const struct endpoint *from, struct span d, u16 seg);
/* From a peer to an allocation's port; false when nobody has it open. */
bool turn_world_peer(struct turn_world *w, const struct endpoint *from, u16 port, struct span d, u16 seg);
struct fake_port *turn_world_port(struct turn_world *w, u16 port, u8 family);

struct endpoint turn_ep(const char *text);
/* Credentials of a Firezone user "expiry:salt". */
void turn_client_init(struct turn_client *c, struct turn_world *w, const char *addr, const char *username);
void turn_client_set_password(struct turn_client *c, const char *password, const char *realm);

/* Builds a request with txid and credentials; put attributes in between. */
struct turn_call {
	struct stun_builder b;
	u8 buf[STUN_MAX_MESSAGE];
	struct stun_msg reply; /* borrows w->out */
	u16 code;              /* 0 success, else the error; 0xFFFF no reply */
};
void turn_call_begin(struct turn_client *c, struct turn_call *k, u16 method);
/* With USERNAME, REALM, NONCE (if known) and MESSAGE-INTEGRITY; returns the code. */
int turn_call_signed(struct turn_client *c, struct turn_call *k);
int turn_call_plain(struct turn_client *c, struct turn_call *k);
/* Is the last reply signed with the client's key? */
bool turn_reply_is_signed(const struct turn_client *c, const struct turn_call *k);

/* Whole transactions; the first also learns the nonce. */
int turn_learn_nonce(struct turn_client *c);
int turn_allocate(struct turn_client *c, u16 *port);
int turn_bind(struct turn_client *c, u16 number, const char *peer);
int turn_refresh(struct turn_client *c, u32 lifetime, bool has_lifetime);
void turn_send_channel(struct turn_client *c, u16 number, struct span payload);

/* The attributes of a message are these, in this order, and no others. */
void turn_expect_order(const struct stun_msg *m, const u16 *order, size_t n);
#define EXPECT_ORDER(m, ...) turn_expect_order((m), (const u16[]){ __VA_ARGS__ }, ARRAY_LEN(((const u16[]){ __VA_ARGS__ })))
