#include "tests/unit/test.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define IS_SANITIZED true /* it reports crashes itself, and better */
#else
#define IS_SANITIZED false
#endif

static struct test *first, **last = &first;
static const struct test *current;
static unsigned failures_of_current;
static bool is_current_skipped;

void test_register(struct test *t)
{
	*last = t;
	last = &t->next;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	printf("FAIL %s (%s:%d): ", current->name, file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	failures_of_current++;
}

const char *test_name(void)
{
	return current->name;
}

void test_skip(const char *reason)
{
	printf("skip %s: %s\n", current->name, reason);
	is_current_skipped = true;
}

size_t test_hex(const char *text, u8 *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;
	unsigned high = 0;
	bool has_high = false;

	for (; *text; text++) {
		const char *d = strchr(digits, *text);
		if (!d)
			continue;
		if (has_high)
			out[n++] = (u8)(high << 4 | (unsigned)(d - digits));
		else
			high = (unsigned)(d - digits);
		has_high = !has_high;
	}
	return n;
}

bool test_expect_eq(const char *file, int line, const char *ea, const char *eb, long long a, long long b)
{
	if (a != b)
		test_fail(file, line, "%s is %lld (0x%llx), expected %s = %lld (0x%llx)", ea, a, (unsigned long long)a, eb, b,
			  (unsigned long long)b);
	return a == b;
}

bool test_expect_str(const char *file, int line, const char *ea, const char *a, const char *b)
{
	bool equal = a && b ? strcmp(a, b) == 0 : a == b;
	if (!equal)
		test_fail(file, line, "%s is \"%s\", expected \"%s\"", ea, a ? a : "(null)", b ? b : "(null)");
	return equal;
}

bool test_expect_mem(const char *file, int line, const char *ea, const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;
	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i]) {
			test_fail(file, line, "%s differs at byte %zu of %zu: 0x%02x, expected 0x%02x", ea, i, n, x[i], y[i]);
			return false;
		}
	return true;
}

static void on_crash(int sig)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "FAIL %s: killed by signal %d\n", current ? current->name : "(start)", sig);
	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(2);
	signal(sig, SIG_DFL);
	raise(sig);
}

static const char *seed_text;

bool test_seed(u64 *seed)
{
	*seed = seed_text ? strtoull(seed_text, NULL, 10) : 0;
	return seed_text != NULL;
}

static bool is_selected(const struct test *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(t->name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0, skipped = 0;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (const struct test *t = first; t; t = t->next)
			puts(t->name);
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
		seed_text = argv[2];
		argc -= 2;
		argv += 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!IS_SANITIZED) {
		signal(SIGSEGV, on_crash);
		signal(SIGABRT, on_crash);
		signal(SIGFPE, on_crash);
		signal(SIGBUS, on_crash);
	}
	for (const struct test *t = first; t; t = t->next) {
		if (!is_selected(t, argc, argv))
			continue;
		current = t;
		failures_of_current = 0;
		is_current_skipped = false;
		t->run();
		if (failures_of_current)
			failed++;
		else if (is_current_skipped)
			skipped++;
		else
			passed++;
	}
	printf("%u passed, %u failed", passed, failed);
	if (skipped)
		printf(", %u skipped", skipped);
	putchar('\n');
	return failed ? 1 : 0;
}
