/* What mails say and how they look on the wire: nothing that people type gets out of its place. */
#include "applets/portal/mail/message.h"
#include "core/base/encode.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL (1795290345ull * NSEC_PER_SEC) /* 2026-11-21T19:45:45Z */
#define LINK "https://portal.example/acme/sign_in/email_otp/1/verify?secret=a1b2c3&as=client"

static struct mail_text text;
static struct strbuf wire;

static struct mail a_code(void)
{
	return (struct mail){ .kind = MAIL_CODE, .to = "jo@acme.example", .to_name = "Jo", .account_name = "Acme", .code = "a1b2c3", .url = LINK,
			      .remote_ip = ip4(192, 0, 2, 7), .user_agent = "Browser/1.0" };
}

static int compose(const struct mail *m)
{
	int rc = mail_write(m, WALL, &text);
	struct mail_envelope e = { "firezone@portal.example", m->to, text.subject, strbuf_text(&text.text), strbuf_text(&text.html), { { 1 } }, WALL };

	strbuf_free(&wire);
	return rc ? rc : mail_compose(&e, &wire);
}

static void end(void)
{
	mail_text_free(&text);
	strbuf_free(&wire);
}

static const char *body(void)
{
	return strbuf_text(&text.text);
}

/* The wire is lines of at most 78 ASCII characters with CRLF and nothing else, and this many header fields. */
static void expect_good_wire(u32 fields)
{
	size_t line = 0;
	u32 n = 0;
	bool in_head = true;

	for (size_t i = 0; i < wire.n; i++) {
		u8 c = (u8)wire.p[i];
		if (c == '\n') {
			EXPECT(i > 0 && wire.p[i - 1] == '\r');
			if (in_head && line == 1)
				in_head = false;
			if (in_head && wire.p[i - line] != ' ')
				n++;
			EXPECT(line <= 79);
			line = 0;
			continue;
		}
		EXPECT(c == '\r' ? wire.p[i + 1] == '\n' : c == '\t' || (c >= ' ' && c < 0x7f));
		line++;
	}
	EXPECT_EQ(line, 0);
	EXPECT_EQ(n, fields);
}

TEST(mail_code_says_who_asked_and_that_nothing_need_be_done)
{
	struct mail m = a_code();

	REQUIRE(compose(&m) == 0);
	EXPECT_STR(text.subject, "Your sign-in code for Acme");
	EXPECT(strstr(body(), "Hello Jo,"));
	EXPECT(strstr(body(), "    a1b2c3\n"));
	EXPECT(strstr(body(), LINK "\n"));
	EXPECT(strstr(body(), "Requested: 21 November 2026, 19:45 UTC\nFrom address: 192.0.2.7\nWith: Browser/1.0\n"));
	EXPECT(strstr(strbuf_text(&text.html), "secret=a1b2c3&amp;as=client"));
	EXPECT(!strstr(text.subject, "a1b2c3"));
	expect_good_wire(9);
	end();
}

TEST(mail_has_the_headers_that_machines_look_for)
{
	struct mail m = a_code();
	const char *w;

	REQUIRE(compose(&m) == 0);
	w = strbuf_text(&wire);
	EXPECT(strncmp(w, "From: emberbox <firezone@portal.example>\r\nTo: <jo@acme.example>\r\nSubject: Your sign-in code for Acme\r\n", 100) == 0);
	EXPECT(strstr(w, "\r\nDate: Sat, 21 Nov 2026 19:45:45 +0000\r\n"));
	EXPECT(strstr(w, "\r\nMessage-ID: <01000000-0000-0000-0000-000000000000@portal.example>\r\n"));
	EXPECT(strstr(w, "\r\nAuto-Submitted: auto-generated\r\n"));
	EXPECT(strstr(w, "multipart/alternative;\r\n boundary=\"=_01000000-0000-0000-0000-000000000000\"\r\n\r\n--=_01000000"));
	EXPECT(strstr(w, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHello Jo,\r\n\r\n"));
	EXPECT(strstr(w, "a1b2c3\r\n") && !strstr(w, "secret=a1b2c3"));
	EXPECT(strstr(w, "\r\n--=_01000000-0000-0000-0000-000000000000--\r\n"));
	EXPECT(!strstr(w, "Unsubscribe"));
	end();
}

TEST(mail_of_every_kind)
{
	static const char *const lines[] = { "ams-1, 1.4.0", "ber <2>, 1.4.1" };
	struct mail m = { .to = "jo@acme.example", .account_name = "Acme", .by = "Kim", .url = "https://portal.example/acme", .code = "x", .subject = "Google",
			  .reason = "HTTP 403: consent <revoked>", .lines = lines, .n_lines = 2, .expires_at = WALL };
	static const char *const subjects[] = { "Your sign-in code for Acme", "Welcome to Acme", "Your access to Acme", "A new way in to Acme",
						"Test mail from your portal", "The directory Google cannot be read",
						"Gateways of Acme need an update", "Acme is over a limit" };

	for (int kind = MAIL_CODE; kind <= MAIL_LIMITS; kind++) {
		m.kind = (enum mail_kind)kind;
		REQUIRE(compose(&m) == 0);
		EXPECT_STR(text.subject, subjects[kind]);
		EXPECT(!strstr(strbuf_text(&text.html), "<revoked>") && !strstr(strbuf_text(&text.html), "<2>"));
		expect_good_wire(9);
		end();
	}
}

TEST(mail_without_what_it_needs_is_not_written)
{
	struct mail m = a_code();

	m.to = "jo@acme.example\r\nBcc: eve@evil.example";
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m = a_code();
	m.code = NULL;
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m.code = "a\nb";
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m = a_code();
	m.url = "javascript:alert(1)";
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m.url = "https://x.example/\r\n\r\nhello";
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m.url = "https://x.example/\"><b>";
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m.kind = MAIL_WELCOME;
	m.url = NULL;
	EXPECT_EQ(compose(&m), ERR_INVAL);
	m.kind = MAIL_LIMITS;
	m.url = LINK;
	EXPECT_EQ(compose(&m), ERR_INVAL);
	end();
}

TEST(mail_hostile_names_stay_where_they_are)
{
	static const char *const hostile[] = {
		"Acme\r\nBcc: eve@evil.example\r\n\r\nbuy", "Acme\n.\nMAIL FROM:<eve@evil.example>", "=?utf-8?q?Acme=0ABcc:_eve?=", "<script>alert(1)</script>",
		"\xe2\x80\xae" "emcA", "\xff\xfe\x80", "a\x00" "b", "\x1b[2J", "Acme\xc2\x85 Bcc: x", "Acme\xe2\x80\xa8line", "\"Acme\" <x@y>", "",
	};

	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		struct mail m = a_code();
		m.account_name = m.to_name = m.user_agent = hostile[i];
		REQUIRE(compose(&m) == 0);
		expect_good_wire(9);
		EXPECT(!strstr(strbuf_text(&wire), "\nBcc:") && !strstr(strbuf_text(&wire), "\n.\r"));
		EXPECT(!strstr(strbuf_text(&text.html), "<script"));
		EXPECT(!strstr(body(), "\xe2\x80\xae") && !strstr(body(), "\x1b"));
		EXPECT(!strstr(text.subject, "\n"));
		end();
	}
}

TEST(mail_subjects_beyond_ascii_are_encoded_in_whole_characters)
{
	struct mail m = a_code();
	char name[400] = "", plain[400];
	const char *w, *word;
	size_t n = 0;

	for (int i = 0; i < 45; i++)
		strcat(name, "\xc3\xa9");
	m.account_name = name;
	REQUIRE(compose(&m) == 0);
	w = strstr(strbuf_text(&wire), "Subject: ");
	for (word = w; (word = strstr(word, "=?UTF-8?B?")) != NULL; word = strstr(word, "?=")) {
		word += strlen("=?UTF-8?B?");
		size_t len = (size_t)(strstr(word, "?=") - word);
		EXPECT(len <= 60);
		int got = base64_decode((u8 *)plain + n, sizeof(plain) - n, SPAN(word, len));
		REQUIRE(got > 0);
		EXPECT((u8)plain[n] != 0xa9); /* no word begins within a character */
		n += (size_t)got;
	}
	plain[n] = 0;
	EXPECT_STR(plain, text.subject);
	expect_good_wire(9);
	end();
}

TEST(mail_overlong_values_are_cut_at_characters)
{
	struct mail m = a_code();
	char *huge = malloc(100001);
	static const char *lines[100];

	for (size_t i = 0; i < 100000; i += 2)
		memcpy(huge + i, "\xc3\xa9", 2);
	huge[100000] = 0;
	m.account_name = m.to_name = m.user_agent = m.by = m.subject = m.reason = huge;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		lines[i] = huge;
	m.lines = lines;
	m.n_lines = ARRAY_LEN(lines);
	for (int kind = MAIL_CODE; kind <= MAIL_LIMITS; kind++) {
		m.kind = (enum mail_kind)kind;
		REQUIRE(compose(&m) == 0);
		EXPECT(wire.n < 150000);
		expect_good_wire(9);
		end();
	}
	free(huge);
}

/* Composing and reading back: what quoted-printable says is what was meant. */
TEST(mail_bodies_survive_the_wire)
{
	static const char said[] = "From here\n.dot\n\ntrailing \ntab\t\n= sign caf\xc3\xa9\n"
				   "a line that is longer than seventy-six characters, so that it has to be broken somewhere, softly. From x\nend";
	struct mail_envelope e = { "a@b.example", "c@d.example", "s", said, "<p>", { { 2 } }, WALL };
	char back[600];
	size_t n = 0;

	strbuf_free(&wire);
	REQUIRE(mail_compose(&e, &wire) == 0);
	expect_good_wire(9);
	const char *p = strstr(strstr(strbuf_text(&wire), "text/plain"), "\r\n\r\n") + 4, *stop = strstr(p, "--=_");
	for (; p < stop; p++) {
		if (*p == '=' && p[1] == '\r') {
			p += 2;
		} else if (*p == '=') {
			back[n++] = (char)(hex_digit((u8)p[1]) * 16 + hex_digit((u8)p[2]));
			p += 2;
		} else if (*p != '\r') {
			back[n++] = *p;
		}
	}
	back[n - 1] = 0; /* the line end before the boundary */
	EXPECT_STR(back, said);
	for (const char *at = strbuf_text(&wire); (at = strstr(at, "\r\n")) != NULL; at += 2)
		EXPECT(at[2] != '.' && strncmp(at + 2, "From ", 5) != 0);
	end();
}
