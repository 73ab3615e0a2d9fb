/* tests/unit/test.h: how a test is written.
 *
 *	TEST(spec20_37_both_roles_with_psk)
 *	{
 *		EXPECT_EQ(thing_init(&t), 0);      integers; prints both sides
 *		REQUIRE(t.state == LIVE);          leaves the test when false
 *		EXPECT_STR(t.name, "east");
 *		EXPECT_MEM(t.key, want, 32);
 *	}
 *
 * A test registers itself; the program's main() is in test.c. Each tests/unit/test_*.c and tests/sim/test_*.c becomes one program:
 *
 *	test_x              runs all its tests in the order of the file
 *	test_x aead wg      runs those whose name contains one of the words
 *	test_x --list       prints their names
 *	test_x --seed 7     for simulations: only the run of that seed (test_seed())
 *
 * It prints one line per failed expectation and, last, `N passed, N failed[, N skipped]`; its status is 1 when one failed.
 */
#pragma once

#include "core/base/types.h"

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *t);
void test_fail(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
void test_skip(const char *reason);
const char *test_name(void); /* of the test that runs */

bool test_expect_eq(const char *file, int line, const char *ea, const char *eb, long long a, long long b);
bool test_expect_str(const char *file, int line, const char *ea, const char *a, const char *b);
bool test_expect_mem(const char *file, int line, const char *ea, const void *a, const void *b, size_t n);

#define TEST(id)                                                                            \
	static void test_##id(void);                                                        \
	__attribute__((constructor)) static void register_##id(void)                        \
	{                                                                                   \
		static struct test t = { #id, test_##id, NULL };                            \
		test_register(&t);                                                          \
	}                                                                                   \
	static void test_##id(void)

/* What --seed says; false when it was not given. */
bool test_seed(u64 *seed);

/* The bytes that these hex digits are; whatever is no digit of 0-9a-f is passed over. */
size_t test_hex(const char *text, u8 *out);

/* Each of these notes a failure and goes on; the value is whether it held. */
#define EXPECT(cond) ((cond) ? true : (test_fail(__FILE__, __LINE__, "expected %s", #cond), false))
#define EXPECT_EQ(a, b) test_expect_eq(__FILE__, __LINE__, #a, #b, (long long)(a), (long long)(b))
#define EXPECT_STR(a, b) test_expect_str(__FILE__, __LINE__, #a, (a), (b))
#define EXPECT_MEM(a, b, n) test_expect_mem(__FILE__, __LINE__, #a, (a), (b), (n))

/* Leaves the test (a void function) when the condition is false. */
#define REQUIRE(cond)                                                            \
	do {                                                                     \
		if (!(cond)) {                                                   \
			test_fail(__FILE__, __LINE__, "expected %s", #cond);     \
			return;                                                  \
		}                                                                \
	} while (0)

/* Leaves the test, which then counts as skipped. */
#define TEST_SKIP(reason)             \
	do {                          \
		test_skip(reason);    \
		return;               \
	} while (0)
