/* The JSON layer: what the scanner lets through, what the getters say, what the writer writes. */
#include "core/ip/addr.h"
#include "core/json/json.h"
#include "core/json/scan.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static int scan(const char *text)
{
	static const struct json_limits lim = { 1000, 20, 4 };

	return json_scan(SPAN(text, strlen(text)), &lim);
}

TEST(json_scan_takes_what_rfc8259_allows)
{
	static const char *const good[] = { "null", " true ", "0", "-0.5e+3", "\"\"", "[]", "{}", "[1,[2,[3]],{}]",
		"{\"a\":{\"b\":[null,false]}}", "\"\\u00e9\\ud83d\\ude00\\n\\/\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\t[ 1 , 2 ]\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (scan(good[i]))
			test_fail(__FILE__, __LINE__, "refused: %s", good[i]);
}

TEST(json_scan_tells_cut_short_from_wrong)
{
	static const char *const cut[] = { "", " ", "tru", "-", "1.", "1e", "1e+", "\"a", "\"\\", "\"\\u00", "\"\\ud83d", "\"\\ud83d\\u", "[", "[1",
		"[1,", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "\"\xc3", "\"\xf0\x9f" };
	static const char *const bad[] = { "x", "01", "+1", ".5", "1 2", "nul ", "'a'", "\"\x01\"", "\"\\x\"", "\"\\u0000\"", "\"\\udc00\"",
		"\"\\ud83dx\"", "\"\\ud83d\\u0041\"", "[1 2]", "[,]", "[1,]", "{a:1}", "{\"a\" 1}", "{\"a\":1,}", "{1:2}", "]", "[}", "{]", "[1]]", "\"\xc0\x80\"",
		"\"\xed\xa0\x80\"", "\"\xff\"", "NaN", "/**/1", "[1}", "{\"a\":1]" };

	for (size_t i = 0; i < ARRAY_LEN(cut); i++)
		if (scan(cut[i]) != ERR_TRUNCATED)
			test_fail(__FILE__, __LINE__, "not reported as cut short: %s", cut[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (scan(bad[i]) != ERR_MALFORMED)
			test_fail(__FILE__, __LINE__, "not refused: %s", bad[i]);
}

TEST(json_every_limit_is_reported)
{
	char deep[3000];

	EXPECT_EQ(scan("[[[[]]]]"), 0);
	EXPECT_EQ(scan("[[[[[]]]]]"), ERR_LIMIT);
	EXPECT_EQ(scan("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]"), 0);
	EXPECT_EQ(scan("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]"), ERR_LIMIT);
	memset(deep, ' ', 1001);
	deep[1001] = 0;
	EXPECT_EQ(scan(deep), ERR_LIMIT);
	EXPECT_EQ(scan("1234567890123456789012345678901234567890123456789012345678901234"), ERR_LIMIT);
	memset(deep, '[', sizeof(deep));
	struct cJSON *root;
	EXPECT_EQ(json_parse(SPAN(deep, sizeof(deep)), NULL, &root), ERR_LIMIT);
}

static struct cJSON *parse(const char *text)
{
	struct cJSON *root = NULL;

	if (json_parse(SPAN(text, strlen(text)), NULL, &root))
		test_fail(__FILE__, __LINE__, "cannot parse %s", text);
	return root;
}

TEST(json_getters_find_each_type_and_name_the_culprit)
{
	struct cJSON *root = parse("{\"s\":\"x\",\"n\":5,\"b\":true,\"o\":{},\"a\":[1],\"z\":null,\"id\":\"00000000-0000-4000-8000-000000000001\","
				   "\"ip\":\"::1\",\"ep\":\"[::1]:5\",\"net\":\"10.0.0.0/8\",\"bare\":\"10.0.0.0\",\"k\":\"AAECAw==\"}");
	struct json_get g = JSON_GET;
	u8 key[4];

	EXPECT_STR(json_str(&g, root, "s"), "x");
	EXPECT_EQ(json_uint(&g, root, "n", 5), 5);
	EXPECT(json_bool(&g, root, "b"));
	EXPECT(json_object(&g, root, "o") != NULL);
	EXPECT_EQ(json_count(json_array(&g, root, "a")), 1);
	EXPECT(json_str_null(&g, root, "z") == NULL);
	EXPECT(json_str_null(&g, root, "absent") == NULL);
	EXPECT_EQ(json_uint_or(&g, root, "absent", 9, 7), 7);
	EXPECT_EQ(json_uuid(&g, root, "id").b[15], 1);
	EXPECT_EQ(json_ip(&g, root, "ip", 6).family, 6);
	EXPECT_EQ(json_endpoint(&g, root, "ep").port, 5);
	EXPECT_EQ(json_cidr(&g, root, "net").len, 8);
	json_base64(&g, root, "k", key, sizeof(key));
	EXPECT_MEM(key, "\0\1\2\3", 4);
	EXPECT_EQ(g.err, 0);

#define CULPRIT(call, text)                                  \
	do {                                                 \
		g = JSON_GET;                                \
		(void)(call);                                \
		EXPECT_EQ(g.err, ERR_MALFORMED);             \
		EXPECT_STR(g.why, text);                     \
	} while (0)
	CULPRIT(json_str(&g, root, "n"), "n: must be a string");
	CULPRIT(json_str(&g, root, "absent"), "absent: is missing");
	CULPRIT(json_uint(&g, root, "n", 4), "n: must be an integer in range");
	CULPRIT(json_uint(&g, root, "s", 4), "s: must be an integer in range");
	CULPRIT(json_bool(&g, root, "z"), "z: must be true or false");
	CULPRIT(json_ip(&g, root, "ip", 4), "ip: must be an IPv4 address");
	CULPRIT(json_cidr(&g, root, "bare"), "bare: must be a network with prefix length and no host bits");
	CULPRIT((json_base64(&g, root, "s", key, 4), 0), "s: must be base64 of a key");
	CULPRIT(json_str(&g, NULL, "s"), "s: its parent must be an object");
	json_free(root);
}

TEST(json_first_error_stays)
{
	struct cJSON *root = parse("{}");
	struct json_get g = JSON_GET;

	(void)json_str(&g, root, "a");
	(void)json_uint(&g, root, "b", 1);
	EXPECT_STR(g.why, "a: is missing");
	json_free(root);
}

TEST(spec10_3_5_duplicate_and_doubly_named_members_are_errors)
{
	struct cJSON *root = parse("{\"a\":1,\"a\":2,\"x\":1,\"y\":2}");
	struct json_get g = JSON_GET;

	EXPECT_EQ(json_uint(&g, root, "x", 9), 1);
	EXPECT(json_member_alias(&g, root, "x", "z") != NULL);
	EXPECT(json_member_alias(&g, root, "z", "y") != NULL);
	EXPECT_EQ(g.err, 0); /* the double `a` is nobody's business yet */
	(void)json_uint(&g, root, "a", 9);
	EXPECT_STR(g.why, "a: occurs twice");
	g = JSON_GET;
	(void)json_member_alias(&g, root, "x", "y");
	EXPECT_EQ(g.err, ERR_MALFORMED);
	json_free(root);
}

TEST(json_integers_have_no_fraction_and_no_sign)
{
	static const struct { const char *text; int rc; u64 v; } t[] = { { "0", 0, 0 }, { "9007199254740992", 0, JSON_UINT_MAX },
		{ "1e3", 0, 1000 }, { "-1", ERR_MALFORMED, 0 }, { "1.5", ERR_MALFORMED, 0 }, { "1e300", ERR_MALFORMED, 0 }, { "\"1\"", ERR_MALFORMED, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct cJSON *root = parse(t[i].text);
		u64 v = 0;
		EXPECT_EQ(json_value_uint(root, UINT64_MAX, &v), t[i].rc);
		if (t[i].rc == 0)
			EXPECT_EQ(v, t[i].v);
		json_free(root);
	}
}

TEST(json_writer_places_commas_and_escapes)
{
	struct json_out o = JSON_OUT;
	struct ip ip = ip4(10, 0, 0, 1);

	json_open(&o, NULL);
	json_put_str(&o, "s", "a\"b\\\n\x01\xc3\xa9\xff");
	json_put_str(&o, "null", NULL);
	json_open_array(&o, "a");
	json_put_u64(&o, NULL, 1);
	json_put_i64(&o, NULL, -2);
	json_open(&o, NULL);
	json_close(&o);
	json_close_array(&o);
	json_put_bool(&o, "b", false);
	json_put_ip(&o, "ip", &ip);
	json_put_base64(&o, "k", SPAN("\0\1\2\3", 4));
	json_put_raw(&o, "r", SPAN_STR("[]"));
	json_close(&o);
	REQUIRE(json_ok(&o));
	static const char want[] = "{\"s\":\"a\\\"b\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\",\"null\":null,\"a\":[1,-2,{}],\"b\":false,"
				   "\"ip\":\"10.0.0.1\",\"k\":\"AAECAw==\",\"r\":[]}";
	EXPECT_EQ(o.len, sizeof(want) - 1);
	EXPECT_MEM(o.buf, want, MIN(o.len, sizeof(want) - 1));
	EXPECT_EQ(scan("{}"), 0);
	json_out_free(&o);
}

TEST(json_what_is_written_can_be_read)
{
	struct json_out o = JSON_OUT;
	char all[256];

	for (int i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	all[127] = 0;
	json_open(&o, NULL);
	for (int i = 0; i < 100; i++)
		json_put_str(&o, i ? "x" : "s", all);
	json_close(&o);
	REQUIRE(json_ok(&o));
	struct cJSON *root;
	REQUIRE(json_parse(json_text(&o), NULL, &root) == 0);
	struct json_get g = JSON_GET;
	EXPECT_STR(json_str(&g, root, "s"), all);
	json_free(root);
	json_out_free(&o);
}
