/* TLS between two of ours in memory: good and bad certificates, both kinds of keys, cut and altered streams, odd chunk sizes. */
#include "core/http/tls.h"
#include "tests/unit/test.h"
#include "tests/unit/tls_certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1800000000ull	/* 2027 */
#define BEFORE 1700000000ull	/* not yet valid */
#define TOO_LATE 5000000000ull	/* expired */

static struct rng_seeded rng;
static struct tls *client, *server;
static struct tls_identity *identity;

static struct span text(const char *s)
{
	return SPAN(s, strlen(s));
}

static const char *const *client_protocols, *const *server_protocols;
static size_t n_client_protocols, n_server_protocols;

static int open_pair(const char *ca, const char *chain, const char *key, const char *host, u64 when)
{
	struct tls_anchors *a;
	int rc;

	rng_seeded_init(&rng, 5);
	EXPECT_EQ(tls_anchors_new(text(ca), &a, NULL), 0);
	EXPECT_EQ(tls_identity_new(text(chain), text(key), &identity), 0);
	EXPECT_EQ(tls_client_new_alpn(a, host, client_protocols, n_client_protocols, when, &rng.rng, &client), 0);
	EXPECT_EQ(tls_server_new_alpn(identity, server_protocols, n_server_protocols, &rng.rng, &server), 0);
	EXPECT(tls_protocol(client) == NULL);

	/* Bytes travel in pieces of 1 to 700 until nobody has any. */
	for (bool moved = true; moved;) {
		moved = false;
		for (unsigned dir = 0; dir < 2; dir++) {
			struct tls *from = dir ? server : client, *to = dir ? client : server;
			struct span s = tls_output(from);
			size_t used, n = MIN(s.n, (size_t)(1 + rng_below(&rng.rng, 700)));
			if (n == 0)
				continue;
			(void)!tls_input(to, SPAN(s.p, n), &used);
			tls_output_done(from, tls_error(to) ? n : used);
			moved = true;
		}
	}
	rc = tls_error(client);
	tls_anchors_free(a);
	if (rc == 0)
		EXPECT(tls_is_ready(client) && tls_is_ready(server));
	return rc;
}

static void close_pair(void)
{
	tls_free(client);
	tls_free(server);
	tls_identity_free(identity);
}

/* Sends `n` bytes and reads them at the other end. */
static void transfer(struct tls *from, struct tls *to, size_t n)
{
	u8 *sent = malloc(n), *got = malloc(n);
	size_t written = 0, arrived = 0;

	rng_fill(&rng.rng, sent, n);
	for (unsigned turn = 0; arrived < n && turn < 100000; turn++) {
		struct span s;
		size_t used;
		written += tls_write(from, SPAN(sent + written, n - written));
		s = tls_output(from);
		if (s.n) {
			if (!EXPECT(tls_input(to, s, &used) == 0))
				break;
			tls_output_done(from, used);
		}
		s = tls_read(to);
		s.n = MIN(s.n, n - arrived);
		if (s.n)
			memcpy(got + arrived, s.p, s.n);
		tls_read_done(to, s.n);
		arrived += s.n;
	}
	EXPECT_EQ(arrived, n);
	EXPECT_MEM(got, sent, n);
	free(sent);
	free(got);
}

static void check_good(const char *chain, const char *key, const char *host)
{
	if (EXPECT_EQ(open_pair(ca_pem, chain, key, host, NOW), 0)) {
		transfer(client, server, 1);
		transfer(server, client, 100000);
		transfer(client, server, 70000);
	} else {
		test_fail(__FILE__, __LINE__, "%s", tls_reason(client));
	}
	close_pair();
}

TEST(elliptic_and_rsa_keys_in_their_usual_wrappings)
{
	check_good(ec_pem, ec_key, "portal.example");
	check_good(ec_pem, ec8_key, "portal.example");
	check_good(rsa_pem, rsa_key, "portal.example");
}

TEST(names_wildcards_and_addresses_of_a_certificate)
{
	check_good(ec_pem, ec_key, "a.wild.example");
	check_good(ec_pem, ec_key, "127.0.0.1");
	check_good(ec_pem, ec_key, "2001:db8::7");
}

static void check_bad(const char *ca, const char *chain, const char *key, const char *host, u64 when, int err, const char *words)
{
	EXPECT_EQ(open_pair(ca, chain, key, host, when), err);
	if (!EXPECT(strstr(tls_reason(client), words) != NULL))
		test_fail(__FILE__, __LINE__, "reason: %s", tls_reason(client));
	EXPECT(!tls_is_ready(client));
	EXPECT(tls_input_eof(server) != 0); /* BearSSL sends no alert then: the end of the stream tells */
	close_pair();
}

TEST(bad_certificates_are_told_apart)
{
	check_bad(ca_pem, ec_pem, ec_key, "portal.example", TOO_LATE, ERR_EXPIRED, "expired");
	check_bad(ca_pem, ec_pem, ec_key, "portal.example", BEFORE, ERR_EXPIRED, "not yet valid");
	check_bad(ca_pem, ec_pem, ec_key, "other.example", NOW, ERR_DENIED, "another name than other.example");
	check_bad(ca_pem, ec_pem, ec_key, "a.b.wild.example", NOW, ERR_DENIED, "another name");
	check_bad(ca_pem, ec_pem, ec_key, "127.0.0.2", NOW, ERR_DENIED, "another name");
	check_bad(ca_pem, rsa_pem, rsa_key, "127.0.0.1", NOW, ERR_DENIED, "another name");
	check_bad(ca_pem, self_pem, self_key, "portal.example", NOW, ERR_AUTH, "self-signed or from an unknown authority");
	check_bad(self_pem, ec_pem, ec_key, "portal.example", NOW, ERR_AUTH, "unknown authority");
}

TEST(self_signed_certificate_is_fine_when_it_is_trusted_itself)
{
	EXPECT_EQ(open_pair(self_pem, self_pem, self_key, "portal.example", NOW), 0);
	close_pair();
}

TEST(key_must_belong_to_the_certificate)
{
	struct tls_identity *id;

	EXPECT_EQ(tls_identity_new(text(ec_pem), text(self_key), &id), ERR_INVAL);
	EXPECT_EQ(tls_identity_new(text(ec_pem), text(rsa_key), &id), ERR_INVAL);
	EXPECT_EQ(tls_identity_new(text(rsa_pem), text(ec_key), &id), ERR_INVAL);
	EXPECT_EQ(tls_identity_new(text(ec_key), text(ec_key), &id), ERR_NOT_FOUND);
	EXPECT_EQ(tls_identity_new(text(ec_pem), text(ec_pem), &id), ERR_NOT_FOUND);
	EXPECT_EQ(tls_identity_new(text(""), text(""), &id), ERR_NOT_FOUND);
	EXPECT_EQ(tls_identity_new(SPAN(ec_pem, sizeof(ec_pem) / 2), text(ec_key), &id), ERR_MALFORMED);
}

TEST(bundle_skips_what_it_cannot_use_and_refuses_emptiness)
{
	static char both[8192];
	struct tls_anchors *a;

	snprintf(both, sizeof(both), "# comment\n%s\n%s", ca_pem, self_pem);
	EXPECT_EQ(tls_anchors_new(text(both), &a, NULL), 0);
	EXPECT_EQ(tls_anchors_count(a), 2);
	tls_anchors_free(a);
	EXPECT_EQ(tls_anchors_new(text("no certificates here"), &a, NULL), ERR_NOT_FOUND);
	EXPECT_EQ(tls_anchors_new(text("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), &a, NULL), ERR_MALFORMED);
	EXPECT_EQ(tls_anchors_new(SPAN(ca_pem, strlen(ca_pem) - 1), &a, NULL), 0); /* last newline missing */
	tls_anchors_free(a);
}

/* A server's connections share what they need only while something is in it: their bytes come in turns, whole and torn. */
TEST(connections_at_rest_share_their_buffers)
{
	struct {
		struct tls *client, *server;
	} pair[3];
	struct tls_anchors *a;
	struct tls_identity *id;

	rng_seeded_init(&rng, 6);
	REQUIRE(tls_anchors_new(text(ca_pem), &a, NULL) == 0 && tls_identity_new(text(ec_pem), text(ec_key), &id) == 0);
	for (unsigned i = 0; i < ARRAY_LEN(pair); i++) {
		EXPECT_EQ(tls_client_new(a, "portal.example", NOW, &rng.rng, &pair[i].client), 0);
		EXPECT_EQ(tls_server_new(id, &rng.rng, &pair[i].server), 0);
		for (unsigned turn = 0; turn < 100; turn++) {
			struct tls *from = turn % 2 ? pair[i].server : pair[i].client, *to = turn % 2 ? pair[i].client : pair[i].server;
			struct span s = tls_output(from);
			size_t used = 0;
			if (s.n)
				EXPECT_EQ(tls_input(to, s, &used), 0);
			tls_output_done(from, used);
		}
		EXPECT(tls_is_ready(pair[i].server) && !tls_is_closed(pair[i].server));
	}
	for (unsigned turn = 0; turn < 300; turn++) {
		unsigned i = turn % 3, n = 1 + turn * 7 % 3000;
		u8 sent[3000], torn[4096], got[3000];
		size_t len = 0, half, used, have = 0;
		struct span s;

		memset(sent, (int)turn, n);
		EXPECT_EQ(tls_write(pair[i].client, SPAN(sent, n)), n);
		while ((s = tls_output(pair[i].client)).n > 0) {
			memcpy(torn + len, s.p, s.n);
			len += s.n;
			tls_output_done(pair[i].client, s.n);
		}
		half = turn % 5 == 0 ? 3 : len / 2; /* also within the header of the record */
		EXPECT_EQ(tls_input(pair[i].server, SPAN(torn, half), &used), 0);
		EXPECT_EQ(used, half);
		/* meanwhile another one speaks and is answered */
		unsigned other = (i + 1) % 3;
		transfer(pair[other].server, pair[other].client, 100 + turn);
		transfer(pair[other].client, pair[other].server, 5000);
		EXPECT_EQ(tls_input(pair[i].server, SPAN(torn + half, len - half), &used), 0);
		transfer(pair[other].server, pair[other].client, 1);
		while ((s = tls_read(pair[i].server)).n > 0) {
			memcpy(got + have, s.p, s.n);
			have += s.n;
			tls_read_done(pair[i].server, s.n);
		}
		EXPECT_EQ(have, n);
		EXPECT_MEM(got, sent, n);
	}
	for (unsigned i = 0; i < ARRAY_LEN(pair); i++) {
		tls_close(pair[i].server);
		EXPECT(tls_output(pair[i].server).n > 0);
		tls_free(pair[i].client);
		tls_free(pair[i].server);
	}
	tls_identity_free(id);
	tls_anchors_free(a);
}

TEST(altered_record_and_cut_stream_are_noticed)
{
	size_t used;
	u8 copy[512];

	REQUIRE(open_pair(ca_pem, ec_pem, ec_key, "portal.example", NOW) == 0);
	EXPECT_EQ(tls_write(client, SPAN_STR("hello")), 5);
	struct span s = tls_output(client);
	REQUIRE(s.n > 5 && s.n < sizeof(copy));
	memcpy(copy, s.p, s.n);
	copy[s.n - 1] ^= 1;
	EXPECT_EQ(tls_input(server, SPAN(copy, s.n), &used), ERR_MALFORMED);
	EXPECT(strstr(tls_reason(server), "altered") != NULL);
	EXPECT_EQ(tls_input_eof(client), ERR_TRUNCATED);
	close_pair();
}

TEST(goodbye_ends_a_connection_cleanly)
{
	size_t used;

	REQUIRE(open_pair(ca_pem, ec_pem, ec_key, "portal.example", NOW) == 0);
	tls_close(client);
	struct span s = tls_output(client);
	EXPECT_EQ(tls_input(server, s, &used), 0);
	tls_output_done(client, used);
	s = tls_output(server);
	if (s.n) {
		EXPECT_EQ(tls_input(client, s, &used), 0);
		tls_output_done(server, used);
	}
	EXPECT(tls_is_closed(client));
	EXPECT_EQ(tls_input_eof(client), 0);
	close_pair();
}

TEST(what_is_no_tls_is_said_to_be_none)
{
	size_t used;

	REQUIRE(open_pair(ca_pem, ec_pem, ec_key, "portal.example", NOW) == 0);
	close_pair();
	struct tls_anchors *a;
	REQUIRE(tls_anchors_new(text(ca_pem), &a, NULL) == 0);
	REQUIRE(tls_client_new(a, "portal.example", NOW, &rng.rng, &client) == 0);
	EXPECT(tls_input(client, SPAN_STR("HTTP/1.1 400 Bad Request\r\n\r\n"), &used) != 0);
	EXPECT(strstr(tls_reason(client), "does not speak TLS") != NULL);
	tls_free(client);
	tls_anchors_free(a);
}

/* What a client that offers `offer` and a server that knows `known` agree on. */
static void check_alpn(const char *const *offer, size_t n_offer, const char *const *known, size_t n_known, const char *want)
{
	client_protocols = offer, n_client_protocols = n_offer;
	server_protocols = known, n_server_protocols = n_known;
	EXPECT_EQ(open_pair(ca_pem, ec_pem, ec_key, "portal.example", NOW), 0);
	for (unsigned i = 0; i < 2; i++) {
		const char *got = tls_protocol(i ? server : client);
		EXPECT_STR(got ? got : "none", want ? want : "none");
	}
	transfer(client, server, 100);
	transfer(server, client, 100);
	close_pair();
	client_protocols = server_protocols = NULL;
	n_client_protocols = n_server_protocols = 0;
}

TEST(alpn_agrees_on_the_servers_first_choice_that_the_client_offers)
{
	static const char *const both[] = { "h2", "http/1.1" }, *const other[] = { "http/1.1", "h2" }, *const odd[] = { "dot" };

	check_alpn(both, 2, both, 2, "h2");
	check_alpn(both, 2, other, 2, "http/1.1");
	check_alpn(both, 2, both, 1, "h2");
	check_alpn(both, 2, both + 1, 1, "http/1.1");
	check_alpn(both + 1, 1, both, 2, "http/1.1");
	check_alpn(both, 2, odd, 1, NULL);
	check_alpn(both, 2, NULL, 0, NULL);
	check_alpn(NULL, 0, both, 2, NULL);
}

TEST(alpn_takes_no_more_names_than_its_limit)
{
	static const char *const many[TLS_PROTOCOLS_MAX + 1] = { "a", "b", "c", "d", "e" };
	struct tls_anchors *a;

	REQUIRE(tls_anchors_new(text(ca_pem), &a, NULL) == 0);
	EXPECT_EQ(tls_client_new_alpn(a, "portal.example", many, ARRAY_LEN(many), NOW, &rng.rng, &client), ERR_LIMIT);
	tls_anchors_free(a);
}
