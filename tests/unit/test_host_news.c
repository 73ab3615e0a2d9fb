/* platform/host_news.h and the D-Bus listener under it, against a bus that the test plays itself. */
#include "platform/host_news.h"

#include "core/base/err.h"
#include "platform/linux/dbus.h"
#include "tests/unit/dbus_build.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLVED "/org/freedesktop/resolve1"
#define NM "org.freedesktop.NetworkManager"
#define NM_PATH "/org/freedesktop/NetworkManager"

/* --- messages ---------------------------------------------------------------------------------------------------------------------- */

TEST(dbus_properties_changed_in_both_byte_orders)
{
	for (unsigned be = 0; be < 2; be++) {
		struct dbus_build d = db_properties(be, NM_PATH, NM, "PrimaryConnection", "Gone");
		struct dbus_message m;
		struct span interface;
		size_t total;
		bool has;

		REQUIRE(dbus_length(SPAN(d.b, d.n), &total) == 0);
		EXPECT_EQ(total, d.n);
		REQUIRE(dbus_parse(SPAN(d.b, d.n), &m) == 0);
		EXPECT_EQ(m.type, DBUS_SIGNAL);
		EXPECT_EQ(m.serial, 77);
		EXPECT(m.path.n == strlen(NM_PATH) && memcmp(m.path.p, NM_PATH, m.path.n) == 0);
		EXPECT(m.member.n == 17 && m.sender.n == 4);
		EXPECT_EQ(dbus_properties_changed(&m, &interface, "PrimaryConnection", &has), 0);
		EXPECT(has && interface.n == strlen(NM));
		EXPECT_EQ(dbus_properties_changed(&m, &interface, "Gone", &has), 0);
		EXPECT(has);
		EXPECT_EQ(dbus_properties_changed(&m, &interface, "State", &has), 0);
		EXPECT(!has);
		EXPECT_EQ(dbus_properties_changed(&m, &interface, NULL, &has), 0);
		EXPECT(has);
	}
}

TEST(dbus_every_truncation_is_refused)
{
	struct dbus_build d = db_properties(false, NM_PATH, NM, "PrimaryConnection", "Gone");
	struct dbus_message m;
	struct span interface;
	size_t total;
	bool has;

	EXPECT_EQ(dbus_length(SPAN(d.b, 15), &total), ERR_TRUNCATED);
	for (size_t n = 16; n < d.n; n++)
		EXPECT_EQ(dbus_parse(SPAN(d.b, n), &m), ERR_MALFORMED);
	REQUIRE(dbus_parse(SPAN(d.b, d.n), &m) == 0);
	for (size_t n = 0; n < m.body.n; n++) {
		struct dbus_message cut = m;
		cut.body.n = n;
		EXPECT_EQ(dbus_properties_changed(&cut, &interface, NULL, &has), ERR_MALFORMED);
	}
}

/* Values nested deeper than anybody's, and signatures that are none. */
TEST(dbus_nesting_is_bounded)
{
	static const struct {
		const char *sig;
		bool is_good;
	} cases[] = { { "v", true }, { "", false }, { "()", false }, { "(v", false }, { "vv", false }, { "a", false }, { "a{sv", false }, { "z", false } };

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct dbus_build d = db_message(false, 4, "/a", "a.b", "C", 0, "sa{sv}as");
		struct dbus_message m;
		struct span interface;
		const size_t body = d.n;
		bool has;

		db_str(&d, "x.y");
		db_u32(&d, 0);
		const size_t at = d.n - 4;
		db_align(&d, 8);
		const size_t start = d.n;
		db_str(&d, "P");
		db_sig(&d, cases[i].sig);
		db_sig(&d, "y");
		db_u8(&d, 9);
		db_put32(&d, at, (u32)(d.n - start));
		db_u32(&d, 0);
		db_finish(&d, body);
		REQUIRE(dbus_parse(SPAN(d.b, d.n), &m) == 0);
		EXPECT_EQ(dbus_properties_changed(&m, &interface, "P", &has), cases[i].is_good ? 0 : ERR_MALFORMED);
	}

	struct dbus_build d = db_message(false, 4, "/a", "a.b", "C", 0, "sa{sv}as");
	struct dbus_message m;
	struct span interface;
	const size_t body = d.n;
	bool has;
	db_str(&d, "x.y");
	db_u32(&d, 1000);
	db_align(&d, 8);
	db_str(&d, "P");
	for (unsigned i = 0; i < 300; i++)
		db_sig(&d, "v");
	db_finish(&d, body);
	REQUIRE(dbus_parse(SPAN(d.b, d.n), &m) == 0);
	EXPECT_EQ(dbus_properties_changed(&m, &interface, "P", &has), ERR_MALFORMED);
}

TEST(dbus_heads_that_are_refused)
{
	struct dbus_build good = db_message(false, 4, "/a", "a.b", "C", 0, "");
	struct dbus_message m;
	size_t total;

	EXPECT_EQ(dbus_parse(SPAN(good.b, good.n), &m), 0);
	struct dbus_build d = good;
	d.b[0] = 'x';
	EXPECT_EQ(dbus_length(SPAN(d.b, d.n), &total), ERR_MALFORMED);
	d = good;
	d.b[3] = 2;
	EXPECT_EQ(dbus_length(SPAN(d.b, d.n), &total), ERR_MALFORMED);
	d = good;
	db_put32(&d, 4, DBUS_MESSAGE_MAX);
	EXPECT_EQ(dbus_length(SPAN(d.b, d.n), &total), ERR_LIMIT);
	d = good;
	db_put32(&d, 12, 0xffffffff);
	EXPECT_EQ(dbus_length(SPAN(d.b, d.n), &total), ERR_LIMIT);
	d = good;
	db_put32(&d, 8, 0);
	EXPECT_EQ(dbus_parse(SPAN(d.b, d.n), &m), ERR_MALFORMED);
}

TEST(dbus_our_calls_are_well_formed)
{
	u8 buf[1024];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dbus_message m;

	EXPECT_EQ(dbus_write_call(&w, 2, "AddMatch", "type='signal'"), 0);
	REQUIRE(dbus_parse(wr_span(&w), &m) == 0);
	EXPECT_EQ(m.type, DBUS_CALL);
	EXPECT_EQ(m.serial, 2);
	EXPECT_EQ(m.body.n, 4 + 13 + 1);
	EXPECT(m.signature.n == 1 && m.member.n == 8);
	for (size_t n = 0; n < wr_len(&w); n++) {
		u8 small[256];
		struct wr s = wr_init(small, n);
		EXPECT_EQ(dbus_write_call(&s, 2, "AddMatch", "type='signal'"), ERR_LIMIT);
	}
}

TEST(dbus_addresses)
{
	static const struct {
		const char *list, *path; /* NULL: none; '@' first: abstract */
	} cases[] = {
		{ "unix:path=/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket" },
		{ "tcp:host=x,port=1;unix:guid=12,path=/a%20b", "/a b" },
		{ "unix:abstract=/tmp/dbus-x,guid=1", "@/tmp/dbus-x" },
		{ "unix:tmpdir=/tmp", NULL },
		{ "unix:path=/a%2", NULL },
		{ "unix:path=/a%00", NULL },
		{ "unix:path=", NULL },
		{ "", NULL },
		{ "unix:path=/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const char *list = cases[i].list;
		struct sockaddr_un to;
		size_t len;
		EXPECT_EQ(dbus_next_address(&list, &to, &len), cases[i].path != NULL);
		if (!cases[i].path)
			continue;
		if (cases[i].path[0] == '@') {
			EXPECT_STR(to.sun_path + 1, cases[i].path + 1);
			EXPECT_EQ(len, offsetof(struct sockaddr_un, sun_path) + strlen(cases[i].path));
		} else {
			EXPECT_STR(to.sun_path, cases[i].path);
		}
	}
}

/* --- news ------------------------------------------------------------------------------------------------------------------------------ */

struct bus {
	char dir[64], address[128], file[96];
	int listener, conn;
	struct host_news *h;
};

static void listen_at(struct bus *b)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct sockaddr_storage any = { 0 };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/bus", b->dir);
	unlink(at.sun_path);
	memcpy(&any, &at, sizeof(at));
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(b->listener, (struct sockaddr *)&any, sizeof(at)) || listen(b->listener, 4))
		test_fail(__FILE__, __LINE__, "cannot listen at %s", at.sun_path);
}

static struct bus make_bus(bool is_there)
{
	struct bus b = { .dir = "/tmp/emberbox-bus-XXXXXX", .listener = -1, .conn = -1 };

	if (!mkdtemp(b.dir))
		test_fail(__FILE__, __LINE__, "mkdtemp");
	snprintf(b.address, sizeof(b.address), "unix:path=%s/bus", b.dir);
	snprintf(b.file, sizeof(b.file), "%s/resolv.conf", b.dir);
	if (is_there)
		listen_at(&b);
	return b;
}

static void start(struct bus *b, bool has_resolved)
{
	struct host_news_config cfg = { .has_resolved = has_resolved, .bus_address = b->address, .files = { b->file } };

	b->h = host_news_new(&cfg, SEC(100));
}

static void close_bus(struct bus *b)
{
	if (b->conn >= 0)
		close(b->conn);
	if (b->listener >= 0)
		close(b->listener);
	b->conn = b->listener = -1;
}

static void end(struct bus *b)
{
	char command[128];

	host_news_free(b->h);
	close_bus(b);
	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	if (system(command))
		test_fail(__FILE__, __LINE__, "%s", command);
}

static void say(struct bus *b, const void *p, size_t n)
{
	if (send(b->conn, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		test_fail(__FILE__, __LINE__, "cannot write to the client");
}

static void say_message(struct bus *b, struct dbus_build d, u64 now)
{
	say(b, d.b, d.n);
	host_news_input(b->h, now);
}

/* What the client has said up to now. */
static size_t hear(struct bus *b, u8 *out, size_t cap)
{
	ssize_t n = recv(b->conn, out, cap, MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

/* Greets the client as dbus-daemon does; the number of rules it added. */
static unsigned greet(struct bus *b, u64 now)
{
	u8 said[8192];
	char want[64] = { 0 };
	unsigned calls = 0;

	b->conn = accept(b->listener, NULL, NULL);
	size_t n = hear(b, said, sizeof(said));
	char uid[16];
	size_t len = 1 + (size_t)snprintf(want + 1, sizeof(want) - 1, "AUTH EXTERNAL ");
	snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	for (char *c = uid; *c; c++)
		len += (size_t)snprintf(want + len, sizeof(want) - len, "3%c", *c);
	len += (size_t)snprintf(want + len, sizeof(want) - len, "\r\n");
	EXPECT(n == len && memcmp(said, want, len) == 0);
	say(b, "OK 1234deadbeef\r\n", 17);
	host_news_input(b->h, now);
	n = hear(b, said, sizeof(said));
	if (!EXPECT(n > 7 && memcmp(said, "BEGIN\r\n", 7) == 0))
		return 0;
	for (size_t at = 7; at < n;) {
		struct dbus_message m;
		size_t total;
		if (dbus_length(SPAN(said + at, n - at), &total) || at + total > n || dbus_parse(SPAN(said + at, total), &m))
			break;
		EXPECT(m.member.n == (calls ? strlen("AddMatch") : strlen("Hello")));
		calls++;
		struct dbus_build reply = db_message(false, DBUS_RETURN, NULL, NULL, NULL, m.serial, "");
		say_message(b, reply, now);
		at += total;
	}
	return calls ? calls - 1 : 0;
}

static int next(struct bus *b)
{
	enum host_news_event e;

	return host_news_poll_event(b->h, &e) ? (int)e : -1;
}

static void write_file(struct bus *b, const char *text)
{
	FILE *f = fopen(b->file, "w");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

TEST(spec30_71_resolved_tells_of_dns_and_network_manager_of_the_network)
{
	struct bus b = make_bus(true);

	start(&b, true);
	EXPECT_EQ(greet(&b, SEC(100)), 2);
	EXPECT_EQ(next(&b), -1); /* no initial event */
	EXPECT_EQ(host_news_next_timeout(b.h), TIME_NEVER);

	say_message(&b, db_properties(false, RESOLVED, "org.freedesktop.resolve1.Manager", "DNS", NULL), SEC(101));
	say_message(&b, db_properties(true, RESOLVED, "org.freedesktop.resolve1.Manager", NULL, "DNS"), SEC(101) + MSEC(100));
	EXPECT_EQ(next(&b), -1);
	EXPECT_EQ(host_news_next_timeout(b.h), SEC(101) + HOST_NEWS_DEBOUNCE);
	host_news_timeout(b.h, SEC(101) + HOST_NEWS_DEBOUNCE);
	EXPECT_EQ(next(&b), HOST_NEWS_DNS);
	EXPECT_EQ(next(&b), -1);

	say_message(&b, db_properties(false, NM_PATH, NM, "State", "Metered"), SEC(102));
	say_message(&b, db_properties(false, NM_PATH, "org.example.Other", "PrimaryConnection", NULL), SEC(102));
	say_message(&b, db_message(false, DBUS_SIGNAL, NM_PATH, NM, "StateChanged", 0, ""), SEC(102));
	EXPECT_EQ(host_news_next_timeout(b.h), TIME_NEVER);
	say_message(&b, db_properties(false, NM_PATH, NM, "PrimaryConnection", NULL), SEC(103));
	host_news_timeout(b.h, SEC(103) + HOST_NEWS_DEBOUNCE);
	EXPECT_EQ(next(&b), HOST_NEWS_NETWORK);
	EXPECT_EQ(next(&b), -1);
	EXPECT_EQ(host_news_stats(b.h)->signals, 3);
	EXPECT_EQ(host_news_stats(b.h)->ignored, 3);
	end(&b);
}

TEST(spec30_71_signals_in_pieces_and_in_one_read)
{
	struct bus b = make_bus(true);
	struct dbus_build d = db_properties(false, RESOLVED, "org.freedesktop.resolve1.Manager", "DNS", NULL);
	u8 three[3 * sizeof(d.b)];

	start(&b, true);
	greet(&b, SEC(100));
	for (size_t i = 0; i < d.n; i++) {
		say(&b, d.b + i, 1);
		host_news_input(b.h, SEC(101));
	}
	EXPECT_EQ(host_news_stats(b.h)->signals, 1);
	for (unsigned i = 0; i < 3; i++)
		memcpy(three + i * d.n, d.b, d.n);
	say(&b, three, 3 * d.n);
	host_news_input(b.h, SEC(101));
	EXPECT_EQ(host_news_stats(b.h)->signals, 4);
	EXPECT_EQ(host_news_stats(b.h)->failures, 0);
	end(&b);
}

TEST(spec30_71_other_methods_poll_every_5_s)
{
	struct bus b = make_bus(true);

	write_file(&b, "nameserver 192.0.2.1\n");
	start(&b, false);
	EXPECT_EQ(greet(&b, SEC(100)), 1); /* only NetworkManager */
	EXPECT_EQ(host_news_next_timeout(b.h), SEC(105));
	say_message(&b, db_properties(false, RESOLVED, "org.freedesktop.resolve1.Manager", "DNS", NULL), SEC(101));
	host_news_timeout(b.h, SEC(105));
	EXPECT_EQ(next(&b), -1);
	write_file(&b, "nameserver 192.0.2.2\n");
	host_news_timeout(b.h, SEC(109));
	EXPECT_EQ(next(&b), -1);
	host_news_timeout(b.h, SEC(110));
	EXPECT_EQ(next(&b), HOST_NEWS_DNS);
	unlink(b.file);
	host_news_timeout(b.h, SEC(115));
	EXPECT_EQ(next(&b), HOST_NEWS_DNS);
	host_news_timeout(b.h, SEC(120));
	EXPECT_EQ(next(&b), -1);
	EXPECT_EQ(host_news_stats(b.h)->polls, 4);
	end(&b);
}

TEST(spec30_71_without_a_bus_files_are_polled_and_the_bus_is_tried_again)
{
	struct bus b = make_bus(false);
	u64 now = SEC(100), wait = HOST_NEWS_RETRY_MIN;

	write_file(&b, "nameserver 192.0.2.1\n");
	start(&b, true);
	for (unsigned i = 1; i <= 8; i++) {
		EXPECT_EQ(host_news_stats(b.h)->failures, i);
		now += wait;
		host_news_timeout(b.h, now - 1);
		EXPECT_EQ(host_news_stats(b.h)->failures, i);
		host_news_timeout(b.h, now);
		wait = MIN(2 * wait, HOST_NEWS_RETRY_MAX);
	}
	EXPECT_EQ(next(&b), -1);
	write_file(&b, "nameserver 192.0.2.2\n");
	host_news_timeout(b.h, now + HOST_NEWS_POLL);
	EXPECT_EQ(next(&b), HOST_NEWS_DNS);

	listen_at(&b);
	now += HOST_NEWS_RETRY_MAX;
	host_news_timeout(b.h, now);
	EXPECT_EQ(greet(&b, now), 2);
	EXPECT_EQ(next(&b), -1);
	EXPECT_EQ(host_news_next_timeout(b.h), TIME_NEVER);

	/* Gone and back: signals may have been missed. */
	close_bus(&b);
	host_news_input(b.h, now);
	EXPECT_EQ(host_news_next_timeout(b.h), now + HOST_NEWS_RETRY_MIN);
	listen_at(&b);
	host_news_timeout(b.h, now + HOST_NEWS_RETRY_MIN);
	EXPECT_EQ(greet(&b, now), 2);
	EXPECT_EQ(next(&b), HOST_NEWS_DNS);
	end(&b);
}

/* Whatever a bus says: closed, counted, tried again; never a crash, never a hang. */
TEST(spec30_71_a_bus_that_misbehaves)
{
	static const char *const greetings[] = { "REJECTED EXTERNAL\r\n", "nonsense\r\n", "\r\n" };
	char line[2000];

	for (unsigned i = 0; i < ARRAY_LEN(greetings); i++) {
		struct bus b = make_bus(true);
		start(&b, true);
		b.conn = accept(b.listener, NULL, NULL);
		say(&b, greetings[i], strlen(greetings[i]));
		host_news_input(b.h, SEC(100));
		EXPECT_EQ(host_news_stats(b.h)->failures, 1);
		end(&b);
	}
	struct bus b = make_bus(true);
	start(&b, true);
	b.conn = accept(b.listener, NULL, NULL);
	memset(line, 'x', sizeof(line));
	say(&b, line, sizeof(line));
	host_news_input(b.h, SEC(100));
	EXPECT_EQ(host_news_stats(b.h)->failures, 1);
	end(&b);

	b = make_bus(true); /* says nothing */
	start(&b, true);
	EXPECT_EQ(host_news_next_timeout(b.h), SEC(100) + HOST_NEWS_POLL);
	host_news_timeout(b.h, SEC(100) + HOST_NEWS_GREETING);
	EXPECT_EQ(host_news_stats(b.h)->failures, 1);
	end(&b);

	b = make_bus(true); /* refuses a rule */
	start(&b, true);
	b.conn = accept(b.listener, NULL, NULL);
	say(&b, "OK 12\r\n", 7);
	host_news_input(b.h, SEC(100));
	say_message(&b, db_message(false, DBUS_RETURN, NULL, NULL, NULL, 1, ""), SEC(100));
	say_message(&b, db_message(false, DBUS_ERROR, NULL, NULL, NULL, 2, ""), SEC(100));
	EXPECT_EQ(host_news_stats(b.h)->failures, 1);
	end(&b);

	b = make_bus(true); /* announces a message that is too long */
	start(&b, true);
	greet(&b, SEC(100));
	struct dbus_build d = db_properties(false, RESOLVED, "x", "DNS", NULL);
	db_put32(&d, 4, 1u << 27);
	say_message(&b, d, SEC(101));
	EXPECT_EQ(host_news_stats(b.h)->failures, 1);
	EXPECT_EQ(host_news_stats(b.h)->connects, 1);
	end(&b);
}
