/* Addresses and names beyond ASCII, as mail and DNS know them. */
#include "applets/portal/model/idna.h"

#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static const char *ascii(const char *name)
{
	static char out[DOMAIN_MAX + 1];

	return idna_to_ascii(SPAN(name, strlen(name)), out, sizeof(out)) ? "" : out;
}

static const char *email(const char *address)
{
	static char out[EMAIL_MAX + 1];

	return email_normalise(address, out) ? "" : out;
}

/* RFC 3492 §7.1, those without capitals that fit a label */
TEST(punycode_as_the_rfc_has_it)
{
	EXPECT_STR(ascii("ليهمابتكلموشعربي؟"), ""); /* with its question mark it is no name */
	EXPECT_STR(ascii("ليهمابتكلموشعربي"), "xn--mgbcah9ar9a4efegftvvn");
	EXPECT_STR(ascii("他们为什么不说中文"), "xn--ihqwcrb4cv8a8dqg056pqjye");
	EXPECT_STR(ascii("他們爲什麽不說中文"), "xn--ihqwctvzc91f659drss3x8bo0yb");
	EXPECT_STR(ascii("למההםפשוטלאמדבריםעברית"), "xn--4dbcagdahymbxekheh6e0a7fei0b");
	EXPECT_STR(ascii("यहलोगहिन्दीक्योंनहींबोलसकतेहैं"), "xn--i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd");
	EXPECT_STR(ascii("почемужеонинеговорятпорусски"), "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l");
	EXPECT_STR(ascii("そのスピードで"), "xn--d9juau41awczczp");
	EXPECT_STR(ascii("パフィーdeルンバ"), "xn--de-jg4avhby1noc0d");
}

/* UTS #46, as far as people type it */
TEST(names_are_mapped_to_what_is_registered)
{
	EXPECT_STR(ascii("Example.ORG"), "example.org");
	EXPECT_STR(ascii("B\303\234CHER.example"), "xn--bcher-kva.example");
	EXPECT_STR(ascii("stra\303\237e.example"), "xn--strae-oqa.example"); /* not transitional */
	EXPECT_STR(ascii("\316\222\316\214\316\233\316\237\316\243.gr"), ascii("\316\262\317\214\316\273\316\277\317\203.gr"));
	EXPECT_STR(ascii("\320\237\320\240\320\230\320\234\320\225\320\240.\320\240\320\244"), "xn--e1afmkfd.xn--p1ai");
	EXPECT_STR(ascii("\305\201\303\223D\305\271.pl"), ascii("\305\202\303\263d\305\272.pl"));
	EXPECT_STR(ascii("\341\273\206.vn"), ascii("\341\273\207.vn"));
	EXPECT_STR(ascii("\357\274\241\357\275\202\357\274\216example\343\200\202org"), "ab.example.org"); /* fullwidth */
	EXPECT_STR(ascii("\340\270\227\340\270\263.th"), ascii("\340\270\227\340\271\215\340\270\262.th"));
	EXPECT_STR(ascii("exam\302\255ple.org"), "example.org");
	EXPECT_STR(ascii("xn--bcher-kva.example"), "xn--bcher-kva.example");
}

TEST(names_that_are_none_are_refused)
{
	static const char *const bad[] = { "", ".", "a..b", ".a", "a.", "-a.b", "a-.b", "a b.c", "a_b.c", "a@b", "a\tb.c", "b\303\274.-c", "caf\351.fr",
					   "bu\314\210cher.example", /* an accent of its own */
					   "\342\202\254.example", "\360\237\230\200.example", "\357\254\201.example", "ab--\303\274.example",
					   "\342\200\256gro.example" };
	char label[300];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_STR(ascii(bad[i]), "");
	memset(label, 'a', 64);
	label[64] = '\0';
	EXPECT_STR(ascii(label), "");
	label[63] = '\0';
	EXPECT_STR(ascii(label), label);
	for (int i = 0; i < 4; i++)
		memcpy(label + 64 * i, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.", 64);
	label[255] = '\0'; /* 255 characters: two too many */
	EXPECT_STR(ascii(label), "");
	label[253] = '\0';
	EXPECT_STR(ascii(label), label);
}

TEST(addresses_keep_their_first_half)
{
	char *wide = strdup("0123456789@");

	EXPECT_STR(email("Jo.D\303\266e+x@B\303\274cher.EXAMPLE"), "Jo.D\303\266e+x@xn--bcher-kva.example");
	EXPECT_STR(email("jo@localhost"), "");
	EXPECT_STR(email("jo@\303\274"), "");
	EXPECT_STR(email("@example.org"), "");
	EXPECT_STR(email("jo"), "");
	EXPECT_STR(email("jo@a@example.org"), "");
	EXPECT_STR(email("jo\r\nBcc: x@example.org"), "");
	EXPECT_STR(email("jo <jo@example.org"), "");
	/* 160 characters and no more */
	wide = realloc(wide, 400);
	memset(wide, 'a', 400);
	strcpy(wide + 149, "@e.example");
	EXPECT_EQ(strlen(wide), 159);
	EXPECT_STR(email(wide), wide);
	memset(wide, 'a', 160);
	strcpy(wide + 150, "@e.example");
	EXPECT_STR(email(wide), wide);
	memset(wide, 'a', 160);
	strcpy(wide + 151, "@e.example");
	EXPECT_STR(email(wide), "");
	free(wide);
	EXPECT(email_means("JO@B\303\234CHER.example", "jo@xn--bcher-kva.example"));
	EXPECT(email_means("jo@XN--bcher-kva.example", "jo@xn--bcher-kva.example"));
	EXPECT(!email_means("jo@bucher.example", "jo@xn--bcher-kva.example"));
}
