/* Address patterns and their order (spec 30 §8, spec 40 §9.4). */
#include "core/base/rng.h"
#include "core/dns/pattern.h"
#include "tests/unit/dns_build.h"

static struct dns_pattern pattern(const char *text)
{
	struct dns_pattern p = { 0 };

	if (dns_pattern_init(&p, text) != 0)
		test_fail(__FILE__, __LINE__, "not a pattern: %s", text);
	return p;
}

static bool matches(const char *text, const char *name)
{
	struct dns_pattern p = pattern(text);
	struct dns_name n = dns_build_name(name);

	return dns_pattern_matches(&p, &n);
}

struct row {
	const char *pattern, *name;
	bool matches;
};

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (matches(rows[i].pattern, rows[i].name) != rows[i].matches)
			test_fail(__FILE__, __LINE__, "%s %s %s", rows[i].pattern, rows[i].matches ? "must match" : "must not match", rows[i].name);
}

TEST(spec30_40_wildcards)
{
	static const struct row rows[] = {
		/* the examples of §8.1 */
		{ "*.example.com", "example.com", true },
		{ "**.example.com", "example.com", true },
		{ "**.example.com", "a.example.com", true },
		{ "**.example.com", "a.b.example.com", true },
		{ "a.**.web.example.com", "a.web.example.com", true },
		{ "*.example.com", "a.b.example.com", false },
		{ "app?com", "app.com", false },
		{ "app.*.example.com", "app.x.example.com", true },
		{ "app.*.example.com", "app.example.com", false },
		{ "app.*.example.com", "app.x.y.example.com", false },
		/* literals */
		{ "example.com", "example.com", true },
		{ "example.com", "a.example.com", false },
		{ "example.com", "xample.com", false },
		{ "example.com", "example.co", false },
		{ "example.com", ".", false },
		/* ? */
		{ "app?.example.com", "app1.example.com", true },
		{ "app?.example.com", "app.example.com", false },
		{ "app?.example.com", "app12.example.com", false },
		{ "?.example.com", "example.com", false },
		{ "??.example.com", "ab.example.com", true },
		/* * */
		{ "*.example.com", "a.example.com", true },
		{ "*", "com", true },
		{ "*", "example.com", false },
		{ "a*.example.com", "a.example.com", true },
		{ "a*c.example.com", "abc.example.com", true },
		{ "a*c.example.com", "acbc.example.com", true },
		{ "a*c.example.com", "abcd.example.com", false },
		{ "*a*b*.x", "xxaxxbxx.x", true },
		{ "*a*b*.x", "xxbxxaxx.x", false },
		{ "*.*.x", "a.b.x", true },
		{ "*.*.x", "b.x", false },
		{ "*ample.com", "example.com", true },
		{ "*ample.com", "b.example.com", false },
		{ "example.*", "example.com", true },
		{ "example.*", "example", false },
		/* ** */
		{ "**", "com", true },
		{ "**", "a.b.c", true },
		{ "a.**.web.example.com", "a.b.c.web.example.com", true },
		{ "a.**.web.example.com", "a.b.c.example.com", false },
		{ "a.**.b.**.c", "a.b.c", true },
		{ "a.**.b.**.c", "a.x.b.b.y.c", true },
		{ "a.**.b.**.c", "a.x.y.c", false },
		{ "**.**.x", "x", true },
		{ "**.a.*.x", "a.a.b.x", true },
		{ "**.a.*.x", "a.x", false },
		{ "corp.**", "a.corp", false },
		{ "corp.**", "corp.a.b", true },
		{ "corp.**", "corp", false },
		{ "**.example.com", "notexample.com", false },
		{ "*.**.x", "a.x", true },
		{ "*.**.x", "a.b.c.x", true },
		{ "*.**.x", "x", false },
		/* sets */
		{ "app[123].x", "app2.x", true },
		{ "app[123].x", "app4.x", false },
		{ "app[!123].x", "app4.x", true },
		{ "app[!123].x", "app2.x", false },
		{ "app[!123].x", "app.x", false },
		{ "app[a-c]z.x", "appbz.x", true },
		{ "app[a-c]z.x", "appdz.x", false },
		{ "[a-]x", "-x", true },
		{ "[-a]x", "-x", true },
		{ "[]]", "]", true },
		{ "[!]]", "]", false },
		{ "[!]]", "a", true },
		{ "a[.]b", "a.b", false },
		{ "a[!x]b", "a.b", false },
		{ "*[0-9].x", "host7.x", true },
		{ "*[0-9].x", "host.x", false },
	};

	check(rows, ARRAY_LEN(rows));
}

TEST(spec30_40_case_does_not_count)
{
	static const struct row rows[] = {
		{ "*.Example.COM", "a.eXAMPLE.com", true },
		{ "*.Example.COM", "EXAMPLE.com", true },
		{ "APP?.x", "appZ.X", true },
		{ "[A-C].x", "b.x", true },
		{ "[abc].x", "B.x", true },
		{ "[!abc].x", "B.x", false },
	};

	check(rows, ARRAY_LEN(rows));
}

TEST(spec30_40_star_dot_matches_the_bare_remainder)
{
	static const struct row rows[] = {
		{ "*.a.b", "a.b", true },
		{ "*.a.b", "b", false },
		{ "?.a.b", "a.b", false },
		{ "x*.a.b", "a.b", false },
		{ "*.b", "b", true },
		{ "*.*.b", "b", false },
		{ "*.c*.b", "cc.b", false }, /* a comparison, not a match */
	};

	check(rows, ARRAY_LEN(rows));
}

TEST(pattern_sees_the_escaped_text_of_a_name)
{
	static const struct row rows[] = {
		{ "a\\.b", "a\\.b", true },
		{ "*", "a\\.b", false },
		{ "a\\ b.x", "a\\ b.x", true },
		{ "\\007.x", "\\007.x", true },
		{ "????.x", "\\007.x", true },
		{ "b\xc3\xbc" "cher.x", "b\\195\\188cher.x", false },
		{ "b\xc3\xbc" "cher.x", "xn--bcher-kva.x", false },
		{ "**", ".", true },
		{ "*", ".", false },
	};

	check(rows, ARRAY_LEN(rows));
}

TEST(spec30_41_double_star_shares_its_label_with_nothing)
{
	static const char *const bad[] = {
		"a**.example.com", "**a.example.com", "a**b.example.com", "***.example.com", "***", "x.***", "*.**a", "?**.x", "**?.x", "**[a].x",
		"[a]**.x", "****.x", "", "a[b.com", "[", "[]", "[!]", "[!", "a.[x", "[a", "\xff.x", "\xc3.x",
	};
	struct dns_pattern p;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!EXPECT_EQ(dns_pattern_init(&p, bad[i]), ERR_INVAL))
			test_fail(__FILE__, __LINE__, "was taken: %s", bad[i]);
}

TEST(pattern_has_a_longest_text)
{
	char text[300];
	struct dns_pattern p;

	memset(text, 'a', sizeof(text));
	text[DNS_PATTERN_MAX] = 0;
	EXPECT_EQ(dns_pattern_init(&p, text), 0);
	EXPECT_EQ(p.len, DNS_PATTERN_MAX);
	text[DNS_PATTERN_MAX] = 'a';
	text[DNS_PATTERN_MAX + 1] = 0;
	EXPECT_EQ(dns_pattern_init(&p, text), ERR_LIMIT);
}

/* Stars that could each take anything: the work stays bounded (this would not end otherwise). */
TEST(spec40_47_matching_is_never_exponential)
{
	char text[256] = "", name[256] = "";
	struct dns_pattern p;

	for (int i = 0; i < 120; i++)
		strcat(text, "*a");
	strcat(text, "b");
	memset(name, 'a', 63);
	strcpy(name + 63, ".");
	memset(name + 64, 'a', 63);
	EXPECT_EQ(dns_pattern_init(&p, text), 0);
	for (int i = 0; i < 1000; i++)
		EXPECT(!dns_pattern_matches_text(&p, name, 63));
	text[0] = 0;
	for (int i = 0; i < 40; i++)
		strcat(text, "**.*a.");
	strcat(text, "b");
	EXPECT_EQ(dns_pattern_init(&p, text), 0);
	name[0] = 0;
	for (int i = 0; i < 120; i++)
		strcat(name, "a.");
	strcat(name, "c");
	for (int i = 0; i < 1000; i++)
		EXPECT(!dns_pattern_matches_text(&p, name, strlen(name)));
}

/* spec 40 §9.4: what a gateway accepts for a resource is what a client sends for it */
TEST(spec40_47_domain_must_match_the_resource)
{
	static const struct row rows[] = {
		{ "*.app.internal", "db.app.internal", true },
		{ "*.app.internal", "app.internal", true },
		{ "*.app.internal", "evil.db.app.internal", false },
		{ "*.app.internal", "app.internal.evil", false },
		{ "app.internal", "xapp.internal", false },
	};

	check(rows, ARRAY_LEN(rows));
}

/* --- an independent matcher: every choice tried, character by character --- */

static bool naive_set(const char **p, char c)
{
	const char *s = *p + 1;
	bool is_negated = *s == '!', found = false;

	s += is_negated;
	const char *first = s;
	while (s == first || *s != ']') {
		if (s[1] == '-' && s[2] != 0 && strchr(s + 2, ']') && s[2] != ']') {
			found = found || (c >= s[0] && c <= s[2]);
			s += 3;
		} else {
			found = found || c == *s;
			s++;
		}
	}
	*p = s + 1;
	return c != '.' && found != is_negated;
}

static bool naive(const char *p, const char *n, bool at_label)
{
	if (*p == 0)
		return *n == 0;
	if (at_label && p[0] == '*' && p[1] == '*') {
		if (p[2] == 0) /* last label: whatever is there */
			return true;
		for (const char *s = n;; s = strchr(s, '.') + 1) {
			if (naive(p + 3, s, true))
				return true;
			if (!strchr(s, '.'))
				return false;
		}
	}
	if (*p == '*')
		return naive(p + 1, n, false) || (*n != 0 && *n != '.' && naive(p, n + 1, false));
	if (*n == 0)
		return false;
	if (*p == '[') {
		const char *next = p;
		return naive_set(&next, *n) && naive(next, n + 1, false);
	}
	if (*p == '?')
		return *n != '.' && naive(p + 1, n + 1, false);
	return *p == *n && naive(p + 1, n + 1, *p == '.');
}

static bool naive_matches(const char *p, const char *n)
{
	return (strncmp(p, "*.", 2) == 0 && strcmp(p + 2, n) == 0) || naive(p, n, true);
}

static void random_text(struct rng *rng, const char *const *parts, u64 n_parts, char *out)
{
	out[0] = 0;
	for (u64 labels = 1 + rng_below(rng, 5); labels > 0; labels--) {
		if (out[0])
			strcat(out, ".");
		for (u64 n = 1 + rng_below(rng, 3); n > 0; n--)
			strcat(out, parts[rng_below(rng, n_parts)]);
	}
}

static const char *const pattern_parts[] = { "a", "b", "a", "*", "?", "**", "[ab]", "[!b]", "[a-c]" };
static const char *const name_parts[] = { "a", "b", "c", "a" };

TEST(spec30_40_agrees_with_a_backtracking_matcher)
{
	struct rng_seeded rng;
	unsigned matched = 0, valid = 0;

	rng_seeded_init(&rng, 40);
	for (int i = 0; i < 20000; i++) {
		char text[128], name[64];
		struct dns_pattern p;
		random_text(&rng.rng, pattern_parts, ARRAY_LEN(pattern_parts), text);
		if (dns_pattern_init(&p, text) != 0)
			continue;
		valid++;
		for (int k = 0; k < 20; k++) {
			random_text(&rng.rng, name_parts, ARRAY_LEN(name_parts), name);
			bool ours = dns_pattern_matches_text(&p, name, strlen(name));
			matched += ours;
			if (ours != naive_matches(text, name)) {
				test_fail(__FILE__, __LINE__, "%s and %s: we say %d", text, name, ours);
				return;
			}
		}
	}
	EXPECT(valid > 5000 && matched > 5000);
}

/* --- specificity --- */

static int cmp(const char *a, const char *b)
{
	struct dns_pattern pa = pattern(a), pb = pattern(b);
	int forth = dns_pattern_cmp(&pa, &pb), back = dns_pattern_cmp(&pb, &pa);

	EXPECT((forth > 0) == (back < 0) && (forth < 0) == (back > 0));
	return forth;
}

TEST(spec30_42_specificity)
{
	static const char *const ordered[] = { /* most specific first */
		"example.com", "bar.example.com", "*.bar.example.com", "foo.example.com", "?.example.com", "*.example.com", "**.example.com",
		"*ample.com", "*.com",
	};

	for (size_t i = 0; i < ARRAY_LEN(ordered); i++)
		for (size_t k = 0; k < ARRAY_LEN(ordered); k++) {
			int c = cmp(ordered[i], ordered[k]);
			if (i < k ? c <= 0 : i > k ? c >= 0 : c != 0)
				test_fail(__FILE__, __LINE__, "%s against %s: %d", ordered[i], ordered[k], c);
		}
	/* one rule each */
	EXPECT(cmp("a?.x", "a*.x") > 0);
	EXPECT(cmp("ab.x", "a?.x") > 0);
	EXPECT(cmp("a.b", "*a.b") > 0);
	EXPECT(cmp("z.x", "a.x") > 0);
	EXPECT(cmp("\xc3\xa9.x", "z.x") > 0); /* by code point */
	EXPECT(cmp("\xc4\x80.x", "\xc3\xbf.x") > 0);
	EXPECT(cmp("\xf0\x90\x80\x80.x", "\xef\xbf\xbf.x") > 0);
	EXPECT(cmp("\xe2\x82\xac.x", "\xdf\xbf.x") > 0);
	EXPECT(cmp("a.x", "b.a.x") > 0);
	EXPECT_EQ(cmp("A.x", "a.X"), 0);
}

TEST(spec30_42_order_is_total)
{
	static const char *const parts[] = { "a", "b", "*", "?", "\xc3\xa9", "[ab]", "-" };
	struct rng_seeded rng;
	struct dns_pattern p[3];
	char text[3][128];

	rng_seeded_init(&rng, 42);
	for (int i = 0; i < 200000; i++) {
		for (int k = 0; k < 3; k++)
			do
				random_text(&rng.rng, parts, ARRAY_LEN(parts), text[k]);
			while (dns_pattern_init(&p[k], text[k]) != 0);
		int ab = dns_pattern_cmp(&p[0], &p[1]), bc = dns_pattern_cmp(&p[1], &p[2]), ac = dns_pattern_cmp(&p[0], &p[2]);
		REQUIRE((ab == 0) == (strcmp(p[0].text, p[1].text) == 0));
		REQUIRE((ab > 0) == (dns_pattern_cmp(&p[1], &p[0]) < 0));
		REQUIRE(!(ab > 0 && bc > 0) || ac > 0);
		REQUIRE(!(ab < 0 && bc < 0) || ac < 0);
		REQUIRE(dns_pattern_cmp(&p[0], &p[0]) == 0);
	}
}
