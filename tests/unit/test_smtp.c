/* The SMTP client driven by scripted servers: what it says, what it believes, and when it stops talking. */
#include "applets/portal/outbound/smtp.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO "220 mail.example ESMTP\r\n"
#define MESSAGE "Subject: hi\r\n\r\nline\r\n.dot\r\n..\r\n"

static struct smtp *s;
static u64 now;
static struct smtp_event ev;

static void begin(const char *user, bool wants_starttls, bool is_secure)
{
	smtp_free(s);
	s = smtp_new(&(struct smtp_config){ "portal.example", user, user ? "sec ret" : NULL, wants_starttls, is_secure });
	now = SEC(1);
	smtp_opened(s, now);
}

static void end(void)
{
	smtp_free(s);
	s = NULL;
}

static void server(const char *text)
{
	smtp_input(s, now, SPAN(text, strlen(text)));
}

/* What the client said since the last call. */
static const char *said(void)
{
	static char buf[4096];
	size_t n = 0;
	struct span out;

	while ((out = smtp_output(s)).n > 0) {
		size_t take = MIN(out.n, (size_t)7);
		memcpy(buf + n, out.p, take);
		n += take;
		smtp_output_done(s, take);
	}
	buf[n] = 0;
	return buf;
}

static bool event(enum smtp_event_type type)
{
	return smtp_poll_event(s, &ev) && ev.type == type;
}

static void expect_closed(const char *why)
{
	if (!EXPECT(event(SMTP_CLOSED)) || !EXPECT(strstr(ev.text, why) != NULL))
		fprintf(stderr, "  '%s', expected '%s'\n", ev.text, why);
	EXPECT_STR(said(), "");
	EXPECT_EQ(smtp_next_timeout(s), TIME_NEVER);
	EXPECT(!smtp_poll_event(s, &ev));
	server("220 more\r\n");
	EXPECT(!smtp_poll_event(s, &ev));
}

static void get_ready(void)
{
	begin(NULL, false, true);
	server(HELLO);
	EXPECT_STR(said(), "EHLO portal.example\r\n");
	server("250-mail.example\r\n250-SIZE 10000\r\n250 HELP\r\n");
	EXPECT(event(SMTP_READY));
}

static int send_mail(const char *to, const char *message)
{
	return smtp_send(s, now, &(struct smtp_mail){ "portal@acme.example", to, SPAN(message, strlen(message)) });
}

TEST(smtp_sends_mail_after_mail_with_dots_doubled)
{
	get_ready();
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
		EXPECT_STR(said(), "MAIL FROM:<portal@acme.example>\r\n");
		EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), ERR_STATE);
		server("250 2.1.0 ok\r\n");
		EXPECT_STR(said(), "RCPT TO:<jo@acme.example>\r\n");
		server("251 2.1.5 forwarded\r\n");
		EXPECT_STR(said(), "DATA\r\n");
		server("354 go\r\n");
		EXPECT_STR(said(), "Subject: hi\r\n\r\nline\r\n..dot\r\n...\r\n.\r\n");
		server("250 2.0.0 queued as 4711\r\n");
		EXPECT(event(SMTP_RESULT) && ev.verdict == SMTP_ACCEPTED);
		EXPECT_STR(ev.text, "250 2.0.0 queued as 4711");
		EXPECT(event(SMTP_READY));
		EXPECT_EQ(smtp_next_timeout(s), TIME_NEVER);
	}
	smtp_quit(s, now);
	EXPECT_STR(said(), "QUIT\r\n");
	server("221 bye\r\n");
	expect_closed("done");
	end();
}

TEST(smtp_a_message_always_ends_with_a_line)
{
	get_ready();
	EXPECT_EQ(send_mail("jo@acme.example", "a"), 0);
	server("250 ok\r\n250 ok\r\n");
	(void)said();
	server("354 go\r\n");
	EXPECT_STR(said(), "a\r\n.\r\n");
	end();
}

TEST(smtp_replies_may_come_byte_by_byte_and_in_many_lines)
{
	static const char text[] = "220-welcome\r\n220 \r\n250-a\r\n250-AUTH CRAM-MD5 login\r\n250 STARTTLS\r\n";

	begin("jo", false, true);
	for (const char *p = text; *p; p++)
		smtp_input(s, now, SPAN(p, 1));
	EXPECT_STR(said(), "EHLO portal.example\r\nAUTH LOGIN\r\n");
	server("334 VXNlcm5hbWU6\r\n");
	EXPECT_STR(said(), "am8=\r\n");
	server("334 UGFzc3dvcmQ6\r\n");
	EXPECT_STR(said(), "c2VjIHJldA==\r\n");
	server("235 welcome\n");
	EXPECT(event(SMTP_READY));
	end();
}

TEST(smtp_starttls_comes_before_the_password_and_forgets_what_was_said_before)
{
	begin("jo", true, false);
	server(HELLO);
	(void)said();
	server("250-mail.example\r\n250-AUTH PLAIN\r\n250-SMTPUTF8\r\n250 StartTLS\r\n");
	EXPECT_STR(said(), "STARTTLS\r\n");
	server("220 go ahead\r\n");
	EXPECT(event(SMTP_START_TLS));
	EXPECT_STR(said(), "");
	smtp_secured(s, now);
	EXPECT_STR(said(), "EHLO portal.example\r\n");
	server("250-mail.example\r\n250 AUTH LOGIN PLAIN\r\n");
	EXPECT_STR(said(), "AUTH PLAIN AGpvAHNlYyByZXQ=\r\n");
	server("235 2.7.0 ok\r\n");
	EXPECT(event(SMTP_READY));
	EXPECT_EQ(send_mail("j\xc3\xb6@acme.example", MESSAGE), 0);
	EXPECT(event(SMTP_RESULT) && ev.verdict == SMTP_REFUSED);
	EXPECT(event(SMTP_READY));
	end();
}

TEST(smtp_says_smtputf8_when_an_address_needs_it)
{
	begin(NULL, false, true);
	server(HELLO "250-x\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n");
	(void)said();
	EXPECT(event(SMTP_READY));
	EXPECT_EQ(send_mail("j\xc3\xb6@acme.example", MESSAGE), 0);
	EXPECT_STR(said(), "MAIL FROM:<portal@acme.example> SMTPUTF8 BODY=8BITMIME\r\n");
	end();
}

/* ---- somebody sits between ------------------------------------------------------------------------------------------------------------- */

TEST(smtp_without_starttls_nothing_is_said_when_it_was_required)
{
	begin("jo", true, false);
	server(HELLO "250-mail.example\r\n250 AUTH PLAIN\r\n");
	EXPECT_STR(said(), "");
	expect_closed("does not offer STARTTLS");

	begin("jo", true, false);
	server(HELLO "250-mail.example\r\n250 STARTTLS\r\n454 4.7.0 not now\r\n");
	expect_closed("does not start TLS: 454 4.7.0 not now");
	end();
}

TEST(smtp_what_follows_the_consent_to_tls_is_an_attack)
{
	begin("jo", true, false);
	server(HELLO "250-mail.example\r\n250 STARTTLS\r\n");
	server("220 go ahead\r\n250 AUTH PLAIN\r\n");
	EXPECT(event(SMTP_START_TLS));
	expect_closed("somebody may sit between");

	begin("jo", true, false);
	server(HELLO "250-mail.example\r\n250 STARTTLS\r\n");
	server("220 go ahead\r\n");
	EXPECT(event(SMTP_START_TLS));
	server("x");
	expect_closed("somebody may sit between");
	end();
}

TEST(smtp_no_password_in_the_clear)
{
	begin("jo", false, false);
	server(HELLO "250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n");
	expect_closed("in the clear");
	end();
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------------------------- */

TEST(smtp_refused_logins_and_greetings_end_the_connection)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{ "554 go away\r\n", "does not want to talk: 554 go away" },
		{ "250 hm\r\n", "does not want to talk" },
		{ HELLO "502 what\r\n", "does not accept our greeting" },
		{ HELLO "250 AUTH PLAIN\r\n", "takes no passwords here" }, /* the first line is a name, not an extension */
		{ HELLO "250-x\r\n250 AUTH CRAM-MD5 GSSAPI\r\n", "neither by PLAIN nor by LOGIN" },
		{ HELLO "250-x\r\n250 AUTH PLAIN\r\n535-5.7.8 no\r\n535 5.7.8 really\r\n", "535-5.7.8 no 5.7.8 really" },
		{ HELLO "250-x\r\n250 AUTH LOGIN\r\n504 no\r\n", "does not accept our user and password: 504 no" },
		{ HELLO "250-x\r\n250 AUTH LOGIN\r\n334 a\r\n535 no\r\n", "does not accept our user and password: 535 no" },
		{ HELLO "421 shutting down\r\n", "closes the connection: 421 shutting down" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin("jo", false, true);
		server(cases[i].script);
		expect_closed(cases[i].why);
	}
	end();
}

TEST(smtp_tells_what_passes_from_what_never_will)
{
	static const struct {
		const char *replies, *text;
		enum smtp_verdict verdict;
	} cases[] = {
		{ "451 4.7.1 greylisted\r\n", "451 4.7.1 greylisted", SMTP_LATER },
		{ "550 5.7.1 sender not yours\r\n", "550 5.7.1 sender not yours", SMTP_REFUSED },
		{ "530 5.7.0 log in first\r\n", "530 5.7.0 log in first", SMTP_LATER },
		{ "250 ok\r\n550 5.1.1 no such user\r\n", "550 5.1.1 no such user", SMTP_REFUSED },
		{ "250 ok\r\n452 4.2.2 full\r\n", "452 4.2.2 full", SMTP_LATER },
		{ "250 ok\r\n250 ok\r\n554 no valid recipients\r\n", "554 no valid recipients", SMTP_REFUSED },
		{ "250 ok\r\n250 ok\r\n250 odd\r\n", "250 odd", SMTP_LATER },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		get_ready();
		EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
		server(cases[i].replies);
		EXPECT(event(SMTP_RESULT));
		EXPECT_EQ(ev.verdict, cases[i].verdict);
		EXPECT_STR(ev.text, cases[i].text);
		EXPECT(strstr(said(), "RSET\r\n") != NULL);
		server("250 ok\r\n");
		EXPECT(event(SMTP_READY));
		EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
	}
	get_ready();
	EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
	server("250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 too big\r\n");
	EXPECT(event(SMTP_RESULT) && ev.verdict == SMTP_REFUSED);
	EXPECT(event(SMTP_READY));
	end();
}

TEST(smtp_a_mail_in_work_is_kept_when_the_connection_ends)
{
	get_ready();
	EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
	server("250 ok\r\n250 ok\r\n354 go\r\n");
	smtp_failed(s, "the mail server closed the connection");
	EXPECT(event(SMTP_RESULT) && ev.verdict == SMTP_LATER);
	EXPECT_STR(ev.text, "the mail server closed the connection");
	expect_closed("closed the connection");

	get_ready();
	EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
	server("421 4.3.2 going down\r\n");
	EXPECT(event(SMTP_RESULT) && ev.verdict == SMTP_LATER);
	expect_closed("421 4.3.2 going down");
	end();
}

TEST(smtp_limits_of_the_server_are_asked_before_sending)
{
	char *big = malloc(SMTP_MESSAGE_MAX + 2);

	get_ready();
	memset(big, 'a', SMTP_MESSAGE_MAX + 1);
	big[SMTP_MESSAGE_MAX + 1] = 0;
	EXPECT_EQ(send_mail("jo@acme.example", big), ERR_LIMIT);
	big[20000] = 0;
	EXPECT_EQ(send_mail("jo@acme.example", big), 0);
	EXPECT(event(SMTP_RESULT) && ev.verdict == SMTP_REFUSED);
	EXPECT(event(SMTP_READY));
	free(big);
	end();
}

/* ---- hostile servers --------------------------------------------------------------------------------------------------------------------- */

TEST(smtp_endless_lines_and_replies_end_the_connection)
{
	get_ready();
	begin(NULL, false, true);
	for (u32 i = 0; i <= SMTP_LINE_MAX; i++)
		server("2");
	expect_closed("line does not end");

	begin(NULL, false, true);
	for (u32 i = 0; i < SMTP_REPLY_LINES_MAX; i++)
		server("220-still\r\n");
	expect_closed("reply does not end");
	end();
}

TEST(smtp_nonsense_ends_the_connection)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{ "HTTP/1.1 400 Bad Request\r\n", "does not speak SMTP" },
		{ "\r\n", "does not speak SMTP" },
		{ "22\r\n", "does not speak SMTP" },
		{ "220x\r\n", "does not speak SMTP" },
		{ "120 ok\r\n", "does not speak SMTP" },
		{ "620 ok\r\n", "does not speak SMTP" },
		{ "220-a\r\n221 b\r\n", "contradicts itself" },
		{ HELLO "250-a\r\n251 b\r\n", "contradicts itself" },
		{ HELLO "250 a\r\n250 b\r\n", "spoke without being asked" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(NULL, false, true);
		server(cases[i].script);
		if (i == ARRAY_LEN(cases) - 1)
			EXPECT(event(SMTP_READY));
		expect_closed(cases[i].why);
	}
	end();
}

TEST(smtp_words_of_the_server_are_cleaned_before_people_see_them)
{
	begin(NULL, false, true);
	server("554 a\x1b[31m b\tc \xff \xc2\x9b \xc3\xa9\r\n");
	EXPECT(event(SMTP_CLOSED));
	EXPECT(strstr(ev.text, "554 a?[31m b?c ? ? \xc3\xa9") != NULL);
	end();
}

TEST(smtp_silence_is_not_waited_for)
{
	begin(NULL, false, true);
	EXPECT_EQ(smtp_next_timeout(s), SEC(1) + SMTP_TIMEOUT);
	smtp_timeout(s, SEC(1) + SMTP_TIMEOUT - 1);
	EXPECT(!smtp_poll_event(s, &ev));
	smtp_timeout(s, SEC(1) + SMTP_TIMEOUT);
	expect_closed("did not answer in time");

	get_ready();
	EXPECT_EQ(send_mail("jo@acme.example", MESSAGE), 0);
	server("250 ok\r\n250 ok\r\n354 go\r\n");
	EXPECT_EQ(smtp_next_timeout(s), now + SMTP_ACCEPT_TIMEOUT);
	end();
}

/* ---- what shall not leave ------------------------------------------------------------------------------------------------------------------ */

TEST(smtp_messages_and_addresses_cannot_smuggle_commands)
{
	static const char *const addresses[] = { "", "a@b>\r\nRSET", "a b@c", "<a@b", "a@b>", "a@\x7f", "a@b\n", "\xff@b" };
	static const char *const messages[] = { "a\n.\r\nMAIL", "a\r.\r\n", "\na", "a\r\n\n", "a\r", "a\r\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		get_ready();
		EXPECT_EQ(send_mail(addresses[i], MESSAGE), ERR_INVAL);
		EXPECT_EQ(smtp_send(s, now, &(struct smtp_mail){ addresses[i], "a@b", SPAN_STR(MESSAGE) }), ERR_INVAL);
	}
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		get_ready();
		EXPECT_EQ(send_mail("a@b", messages[i]), ERR_INVAL);
		EXPECT_STR(said(), "");
	}
	get_ready();
	EXPECT_EQ(smtp_send(s, now, &(struct smtp_mail){ "a@b", "a@b", SPAN("a\0b", 3) }), ERR_INVAL);
	EXPECT_EQ(send_mail("a@b", MESSAGE), 0);
	end();
}
