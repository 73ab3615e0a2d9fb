/* The portal's HTTP side, connection by connection: many requests on one, slow ones, answers that come later, many at once, shutdown. */
#include "applets/portal/http/live.h"
#include "tests/unit/http_raw.h"

#include <sys/socket.h>

/* ---- one connection, many requests ---------------------------------------------------------------------------------------------------- */

TEST(requests_sent_ahead_are_answered_one_after_another)
{
	struct http_world *w = http_new_with_routes();
	bool closed;
	const char *text = raw(w,
			       GET("/healthz") "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /" GET("/nothing")
				       GET("/at") "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET("/healthz"),
			       &closed);

	EXPECT_HAS(text, "\"ok\"");
	EXPECT_HAS(text, "body 5\n");
	EXPECT_EQ(count(text, "HTTP/1.1 404"), 1);
	EXPECT(!closed && count(text, "HTTP/1.1") == 3); /* the fourth takes its time */

	int fd = http_dial(w);
	http_send(w, fd, GET("/at") "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET("/healthz"));
	EXPECT_STR(http_recv(w, fd, NULL), "");
	http_wait(w, SEC(3));
	text = http_recv(w, fd, &closed);
	EXPECT(strstr(text, "at last") && strstr(text, "at last") < strstr(text, "\"ready\""));
	EXPECT(closed && count(text, "HTTP/1.1") == 2);
	close(fd);
	http_free(w);
}

/* Who sends ahead without end is not read any more. */
TEST(what_is_sent_ahead_is_bounded)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w), n = 0, small = 4096;
	const char *rq = GET("/later");

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (; n < 100000 && send(fd, rq, strlen(rq), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; n++)
		http_turn(w);
	EXPECT(n > 500 && n < 10000);
	EXPECT(http_deferred != NULL);
	http_later_answer();
	http_turn(w);
	EXPECT(http_deferred != NULL); /* the next */
	close(fd);
	http_later_answer();
	http_turn(w);
	EXPECT(w->server.n_conns == 0 && http_gone == 0);
	http_free(w);
}

TEST(old_clients_get_one_answer_unless_they_ask_for_more)
{
	struct http_world *w = http_new_with_routes();
	bool closed;

	EXPECT_EQ(status_of(raw(w, "GET /echo HTTP/1.0\r\n\r\n", &closed)), 200);
	EXPECT(closed);
	EXPECT_HAS(raw(w, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &closed), "Connection: keep-alive");
	EXPECT(!closed);
	EXPECT(!strstr(raw(w, "GET /stream HTTP/1.0\r\n\r\n", &closed), "chunked")); /* until close */
	http_free(w);
}

TEST(who_shuts_his_side_still_gets_his_answer)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);
	bool closed;

	http_send(w, fd, GET("/at"));
	shutdown(fd, SHUT_WR);
	http_turn(w);
	http_wait(w, SEC(3));
	EXPECT_HAS(http_recv(w, fd, &closed), "at last");
	EXPECT(closed);
	close(fd);
	EXPECT_EQ(w->server.n_conns, 0);
	http_free(w);
}

/* ---- slow ones ---------------------------------------------------------------------------------------------------------------------------- */

TEST(a_head_that_trickles_is_given_up_after_15_seconds)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w), silent = http_dial(w);
	const char *rq = "GET /echo HTTP/1.1\r\nHost: xxxxxxxxxxxxx";
	bool closed = false;
	u32 secs = 0;

	for (; rq[secs] && !closed; secs++) {
		char one[2] = { rq[secs], '\0' };
		http_send(w, fd, one);
		http_wait(w, SEC(1));
		(void)http_recv(w, fd, &closed);
	}
	EXPECT(closed && secs <= 16);
	(void)http_recv(w, silent, &closed);
	EXPECT(closed);
	EXPECT_EQ(w->server.stats.timeouts, 1);
	close(fd);
	close(silent);
	http_free(w);
}

TEST(a_body_that_trickles_is_given_up)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);
	bool closed = false;
	u32 secs = 0;
	char text[2048] = "";

	http_send(w, fd, "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
	for (; secs < 100 && !closed; secs++) {
		http_send(w, fd, "x");
		http_wait(w, SEC(1));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", http_recv(w, fd, &closed));
	}
	EXPECT(closed && secs >= 14 && secs <= 17);
	EXPECT_EQ(status_of(text), 408);
	close(fd);

	/* one that is merely slow may go on */
	fd = http_dial(w);
	http_send(w, fd, "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 204800\r\n\r\n");
	for (secs = 0; secs < 40; secs++) {
		char piece[5121];
		snprintf(piece, sizeof(piece), "%05120d", 0);
		http_send(w, fd, piece);
		http_wait(w, SEC(1));
	}
	EXPECT_HAS(http_recv(w, fd, NULL), "body 204800\n");
	close(fd);
	http_free(w);
}

TEST(a_connection_may_be_silent_for_half_a_minute)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);
	bool closed;

	EXPECT(is_served(w, fd));
	http_wait(w, SEC(29));
	EXPECT(is_served(w, fd));
	http_wait(w, SEC(31));
	EXPECT_STR(http_recv(w, fd, &closed), "");
	EXPECT(closed);
	close(fd);
	http_free(w);
}

TEST(one_address_does_not_take_all_connections)
{
	struct http_world *w = http_new_with_routes();
	struct cidr proxy = { { { 198, 51, 100, 7 }, 4 }, 32 };
	int fd[9];
	bool closed;

	w->cfg.conns_per_address = 4;
	w->cfg.proxies[0] = proxy;
	w->cfg.n_proxies = 1;
	snprintf(w->remote, sizeof(w->remote), "203.0.113.9");
	for (u32 i = 0; i < 5; i++) {
		fd[i] = http_dial(w);
		(void)http_recv(w, fd[i], &closed);
		EXPECT_EQ(closed, i == 4);
	}
	EXPECT_EQ(w->server.n_conns, 4);
	EXPECT_EQ(w->server.crowd.refused, 1);
	/* others are none of it, nor is a neighbour */
	snprintf(w->remote, sizeof(w->remote), "203.0.113.10");
	EXPECT_EQ(status_of(raw(w, GET("/echo"), NULL)), 200);
	/* room again */
	close(fd[0]);
	http_turn(w);
	snprintf(w->remote, sizeof(w->remote), "203.0.113.9");
	EXPECT_EQ(status_of(raw(w, GET("/echo"), NULL)), 200);
	/* an IPv6 network is one */
	for (u32 i = 5; i < 9; i++) {
		snprintf(w->remote, sizeof(w->remote), "2001:db8:1:2::%u", i);
		fd[i] = http_dial(w);
	}
	EXPECT_EQ(status_of(raw(w, GET("/echo"), &closed)), 0);
	snprintf(w->remote, sizeof(w->remote), "2001:db8:1:3::5");
	EXPECT_EQ(status_of(raw(w, GET("/echo"), NULL)), 200);
	for (u32 i = 1; i < 9; i++)
		close(fd[i]);
	http_turn(w);
	EXPECT_EQ(w->server.crowd.by_address.count, 0);
	/* proxies come for many, and this machine is us */
	for (u32 k = 0; k < 2; k++) {
		snprintf(w->remote, sizeof(w->remote), "%s", k ? "127.0.0.1" : "198.51.100.7");
		for (u32 i = 0; i < 8; i++)
			fd[i] = http_dial(w);
		EXPECT_EQ(w->server.n_conns, 8);
		for (u32 i = 0; i < 8; i++)
			close(fd[i]);
		http_turn(w);
	}
	EXPECT_EQ(w->server.crowd.refused, 2);
	http_free(w);
}

TEST(who_does_not_read_his_answer_is_dropped)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	http_send(w, fd, GET("/stream"));
	REQUIRE(http_stream);
	char piece[8192] = { 'x' };
	for (u32 i = 0; i < 1000 && http_stream; i++) {
		exchange_push(http_stream, SPAN(piece, sizeof(piece)));
		if (i % 8 == 7)
			http_turn(w);
	}
	EXPECT(!http_stream && http_gone == 1 && w->server.n_conns == 0);
	close(fd);

	/* slowly is enough */
	fd = http_dial(w);
	http_send(w, fd, GET("/stream"));
	for (u32 i = 0; i < 100; i++)
		exchange_push(http_stream, SPAN(piece, 2000));
	http_turn(w);
	for (u32 i = 0; i < 3; i++) {
		char some[1000];
		http_wait(w, SEC(50));
		EXPECT(recv(fd, some, sizeof(some), 0) > 0);
	}
	EXPECT(http_stream != NULL);
	close(fd);
	http_turn(w);
	EXPECT(http_stream == NULL);
	http_free(w);
}

/* ---- answers that come later ---------------------------------------------------------------------------------------------------------------- */

TEST(answers_may_come_later_or_never)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);

	http_send(w, fd, GET("/later"));
	EXPECT_STR(http_recv(w, fd, NULL), "");
	http_wait(w, SEC(90)); /* a handler may take its time */
	REQUIRE(http_deferred);
	http_later_answer();
	EXPECT_HAS(http_recv(w, fd, NULL), "later");
	EXPECT_EQ(http_gone, 0);
	http_send(w, fd, GET("/later"));
	REQUIRE(http_deferred);
	conn_free_all(&w->server);
	EXPECT(http_gone == 1 && !http_deferred);
	close(fd);
	fd = http_dial(w);
	http_send(w, fd, GET("/later"));
	http_wait(w, SEC(179));
	EXPECT(http_deferred != NULL);
	http_wait(w, SEC(2));
	EXPECT(http_gone == 2 && !http_deferred);
	EXPECT_EQ(status_of(http_recv(w, fd, NULL)), 503);
	http_send(w, fd, GET("/later")); /* each has as long */
	http_wait(w, SEC(179));
	REQUIRE(http_deferred);
	http_later_answer();
	EXPECT_HAS(http_recv(w, fd, NULL), "later");
	close(fd);

	EXPECT_EQ(http_get(w, "/silent")->status, 500);
	EXPECT_STR(http_get(w, "/twice")->body, "once");
	http_free(w);
}

TEST(streams_are_chunked_and_end)
{
	struct http_world *w = http_new_with_routes();
	int fd = http_dial(w);
	bool closed;

	http_send(w, fd, GET("/stream"));
	EXPECT_HAS(http_recv(w, fd, NULL), "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nfirst\r\n");
	exchange_push(http_stream, SPAN_STR("second piece"));
	EXPECT_STR(http_recv(w, fd, NULL), "c\r\nsecond piece\r\n");
	http_wait(w, SEC(100));
	exchange_end(http_stream);
	EXPECT_STR(http_recv(w, fd, &closed), "0\r\n\r\n");
	EXPECT(!closed && http_gone == 0);
	EXPECT(is_served(w, fd));
	close(fd);
	http_free(w);
}

TEST(open_pages_hear_of_changes)
{
	struct http_world *w = http_new_with_routes();
	struct portal *p = &w->portal->portal;
	struct uuid account = { { 1 } }, other = { { 9 } }, session = { { 2 } };
	int fd = http_dial(w);
	bool closed;

	EXPECT(!live_listens(p, &account, "clients"));
	http_send(w, fd, GET("/live"));
	EXPECT_HAS(http_recv(w, fd, NULL), "Content-Type: text/event-stream\r\n");
	EXPECT(live_listens(p, &account, "clients") && live_listens(p, NULL, "gateways") && !live_listens(p, &account, "client") &&
	       !live_listens(p, &other, "clients"));
	live_publish(p, &account, "clients", "client-7", "<b>on\r\nline</b>");
	live_publish(p, &other, "clients", "client-7", "secret");
	live_publish(p, &account, "relays", "relay-7", "unheard");
	EXPECT_HAS(http_recv(w, fd, NULL), "data: client-7\ndata: <b>on\ndata: \ndata: line</b>\n\n");
	http_wait(w, SEC(25));
	EXPECT_HAS(http_recv(w, fd, &closed), ":\n\n");
	EXPECT(!closed);
	live_close_session(p, &other);
	EXPECT_EQ(live_count(p->live), 1);
	live_close_session(p, &session);
	EXPECT_STR(http_recv(w, fd, NULL), "0\r\n\r\n");
	EXPECT_EQ(live_count(p->live), 0);
	http_send(w, fd, GET("/live"));
	EXPECT_EQ(live_count(p->live), 1);
	close(fd);
	http_turn(w);
	EXPECT_EQ(live_count(p->live), 0);
	fd = http_dial(w);
	http_send(w, fd, GET("/live"));
	for (u32 i = 0; i < 40; i++) { /* the session is asked for again now and then */
		http_wait(w, SEC(25));
		(void)http_recv(w, fd, &closed);
	}
	EXPECT(closed && live_count(p->live) == 0);
	close(fd);
	http_free(w);
}

/* ---- many at once ------------------------------------------------------------------------------------------------------------------------------- */

enum { PEERS = 3 * CONN_UPGRADES_PER_TURN };

/* PEERS connections that have asked to become sockets, read but not answered. */
static struct http_world *peers_at_once(int fds[static PEERS])
{
	struct http_world *w = http_new();
	char request[1024];

	EXPECT_EQ(admin(w->portal, "actor add --type user --name Mo --email mo@acme.example"), 0);
	const char *token = token_for(w->portal, "--actor mo@acme.example");
	for (int i = 0; i < PEERS; i++) {
		fds[i] = http_dial(w);
		int n = snprintf(request, sizeof(request),
				 "GET /client/websocket?external_id=peer-%d&name=peer&public_key=%043d%%3D HTTP/1.1\r\nHost: x\r\n"
				 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
				 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nuser-agent: x headless-client/1.5.8\r\n"
				 "x-authorization: Bearer %s\r\n\r\n",
				 i, 0, token);
		EXPECT_EQ(write(fds[i], request, (size_t)n), n);
	}
	loop_turn(w->loop, 0);
	EXPECT_EQ(w->server.stats.upgrades, 0);
	EXPECT(w->server.waiting != NULL);
	return w;
}

TEST(many_peers_that_come_at_once_are_let_in_one_after_another)
{
	int fds[PEERS], gives_up = PEERS / 2;
	struct http_world *w = peers_at_once(fds);
	bool is_closed;

	close(fds[gives_up]);
	http_turn(w);
	EXPECT(w->server.waiting == NULL);
	EXPECT(w->server.stats.upgrades >= PEERS - 1);
	for (int i = 0; i < PEERS; i++)
		if (i != gives_up) {
			EXPECT_HAS(http_recv(w, fds[i], &is_closed), "HTTP/1.1 101");
			EXPECT(!is_closed);
			close(fds[i]);
		}
	http_turn(w);
	EXPECT_EQ(http_get(w, "/healthz")->status, 200);
	http_free(w);
}

TEST(peers_that_wait_may_be_closed)
{
	int fds[PEERS];
	struct http_world *w = peers_at_once(fds);

	conn_free_all(&w->server);
	EXPECT(w->server.waiting == NULL);
	http_turn(w);
	EXPECT_EQ(w->server.stats.upgrades, 0);
	for (int i = 0; i < PEERS; i++)
		close(fds[i]);
	http_free(w);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------------------------ */

TEST(spec60_61_requests_end_before_the_portal_does)
{
	struct http_world *w = http_new_with_routes();
	int idle = http_dial(w), at = http_dial(w), later = http_dial(w), stream = http_dial(w);
	bool closed;

	http_send(w, at, GET("/at"));
	http_send(w, later, GET("/later"));
	http_send(w, stream, GET("/stream"));
	(void)http_recv(w, stream, NULL);
	w->server.is_stopping = true;
	conn_stop_all(&w->server);
	conn_end_streams(&w->server);
	(void)http_recv(w, idle, &closed);
	EXPECT(closed);
	EXPECT_STR(http_recv(w, stream, &closed), "0\r\n\r\n");
	EXPECT(closed && !http_stream);
	http_wait(w, SEC(3));
	EXPECT_HAS(http_recv(w, at, &closed), "Connection: close");
	EXPECT(closed);
	conn_give_up_all(&w->server);
	EXPECT(!http_deferred);
	EXPECT_EQ(status_of(http_recv(w, later, &closed)), 503);
	EXPECT(closed);
	EXPECT_EQ(w->server.n_conns, 0);
	close(idle), close(at), close(later), close(stream);
	http_free(w);
}
