#include "applets/portal/mail/config.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct mail_config cfg;
static char why[MAIL_WHY_MAX];

static int read_url(const char *transport)
{
	return mail_config_read(&cfg, &(struct mail_options){ .transport = transport, .from = "portal@acme.example" }, why);
}

TEST(mail_without_transport_is_no_mail)
{
	EXPECT_EQ(mail_config_read(&cfg, &(struct mail_options){ 0 }, why), 0);
	EXPECT_EQ(cfg.way, MAIL_BY_NOTHING);
	EXPECT_EQ(read_url("none"), 0);
	EXPECT_EQ(cfg.way, MAIL_BY_NOTHING);
}

TEST(mail_over_a_network_is_encrypted_unless_the_operator_says_otherwise)
{
	EXPECT_EQ(read_url("smtp://jo:p%40ss%3Aword@mail.example"), 0);
	EXPECT_EQ(cfg.way, MAIL_BY_SMTP);
	EXPECT(cfg.is_starttls && !cfg.is_tls);
	EXPECT_EQ(cfg.port, 587);
	EXPECT_STR(cfg.host, "mail.example");
	EXPECT_STR(cfg.user, "jo");
	EXPECT_STR(cfg.password, "p@ss:word");

	EXPECT_EQ(read_url("smtps://jo:a:b@mail.example:2465"), 0);
	EXPECT(cfg.is_tls && !cfg.is_starttls);
	EXPECT_EQ(cfg.port, 2465);
	EXPECT_STR(cfg.password, "a:b");

	EXPECT_EQ(read_url("smtps://mail.example"), 0);
	EXPECT_EQ(cfg.port, 465);
	EXPECT_EQ(read_url("smtp://mail.example?insecure"), 0);
	EXPECT(!cfg.is_tls && !cfg.is_starttls);
	EXPECT_EQ(read_url("smtp://localhost:25"), 0);
	EXPECT(!cfg.is_tls && !cfg.is_starttls);
	EXPECT_EQ(read_url("smtp://[::1]:25/?starttls"), 0);
	EXPECT(cfg.is_starttls);
	EXPECT_STR(cfg.host, "::1");
}

TEST(mail_by_a_program)
{
	EXPECT_EQ(read_url("sendmail"), 0);
	EXPECT_EQ(cfg.way, MAIL_BY_SENDMAIL);
	EXPECT_STR(cfg.sendmail, "/usr/sbin/sendmail");
	EXPECT_EQ(read_url("sendmail:/opt/bin/msmtp"), 0);
	EXPECT_STR(cfg.sendmail, "/opt/bin/msmtp");
}

TEST(mail_transports_that_cannot_be_understood_are_refused)
{
	static const char *const bad[] = {
		"smtp://", "smtp:/host", "mail.example", "http://host", "sendmail:msmtp", "sendmailx", "smtp://a@b@:25", "smtp://user@host",
		"smtp://u%0d:p@host", "smtp://u%0:p@host", "smtp://u%:p@host", "smtp://host/path", "smtp://host?other", "smtps://host?insecure",
		"smtps://host?starttls", "smtp://host:99999", "smtp://u%00:p@host", "smtp://:p@host",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!EXPECT_EQ(read_url(bad[i]), ERR_INVAL))
			fprintf(stderr, "  %s\n", bad[i]);
}

TEST(mail_password_comes_from_a_file_and_is_never_told)
{
	char path[] = "/tmp/emberbox-test-mail-XXXXXX";
	int fd = mkstemp(path);
	struct mail_options o = { .transport = "smtp://jo@mail.example", .from = "a@b.example", .password_file = path };

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, "se cret\r\nmore\n", 14) == 14);
	EXPECT_EQ(mail_config_read(&cfg, &o, why), 0);
	EXPECT_STR(cfg.password, "se cret");
	EXPECT_EQ(ftruncate(fd, 0), 0);
	EXPECT_EQ(mail_config_read(&cfg, &o, why), ERR_INVAL);
	close(fd);
	unlink(path);
	EXPECT_EQ(mail_config_read(&cfg, &o, why), ERR_IO);
	EXPECT(strstr(why, path) != NULL);
	o.password_file = NULL;
	EXPECT_EQ(mail_config_read(&cfg, &o, why), ERR_INVAL);
	o.password = "env";
	EXPECT_EQ(mail_config_read(&cfg, &o, why), 0);
	EXPECT_STR(cfg.password, "env");
	EXPECT_EQ(read_url("smtp://jo:hidden@mail.example?what"), ERR_INVAL);
	EXPECT(!strstr(why, "hidden"));
	EXPECT_STR(cfg.password, "");
}

TEST(mail_sender_follows_the_portals_host)
{
	struct mail_options o = { .transport = "sendmail", .url = "https://fz.acme.example:8443/" };

	EXPECT_EQ(mail_config_read(&cfg, &o, why), 0);
	EXPECT_STR(cfg.from, "firezone@fz.acme.example");
	o.url = "http://192.0.2.1/";
	EXPECT_EQ(mail_config_read(&cfg, &o, why), ERR_INVAL);
	o.url = NULL;
	EXPECT_EQ(mail_config_read(&cfg, &o, why), ERR_INVAL);
	o.from = "Jo <jo@acme.example>";
	EXPECT_EQ(mail_config_read(&cfg, &o, why), ERR_INVAL);
}

TEST(mail_addresses_that_could_break_out_are_none)
{
	static const char *const good[] = { "jo@acme.example", "jo+tag@a-b.example", "o'brien@x.example", "root@localhost", "j%x@y.example" };
	static const char *const bad[] = {
		"", "jo", "@x.example", "jo@", "jo@x.example\r\nBcc: eve@x.example", "jo@x.example\n", "jo @x.example", "<jo@x.example>",
		"jo@x.example,eve@x.example", "\"jo\"@x.example", "jo@eve@x.example", "jo@x..example", ".jo@x.example", "jo.@x.example",
		"jo@.x.example", "jo@x.example.", "jo\t@x.example", "jo\x01@x.example", "jo\xff@x.example", "jo@-x.example", "jo(c)@x.example",
		"jo@[192.0.2.1]", "jo;eve@x.example", "jo\\@x.example", "jo\x7f@x.example",
		"a123456789012345678901234567890123456789012345678901234567890123456789@x.example",
	};
	bool is_wide = true;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!EXPECT(mail_address_is_valid(good[i], &is_wide) && !is_wide))
			fprintf(stderr, "  %s\n", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!EXPECT(!mail_address_is_valid(bad[i], NULL)))
			fprintf(stderr, "  %s\n", bad[i]);
	EXPECT(!mail_address_is_valid(NULL, NULL));
	EXPECT(mail_address_is_valid("j\xc3\xb6@acme.example", &is_wide) && is_wide);
}
