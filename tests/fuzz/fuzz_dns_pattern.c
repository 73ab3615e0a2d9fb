/* Patterns: the first line against the others, which are names; then the lines as patterns, in order of specificity. */
#include "core/dns/pattern.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define LINES_MAX 6u

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* True or false is for tests/unit/test_dns_pattern.c to judge; here only what must hold of every pattern. */
static void try_match(const struct dns_pattern *p, const char *text)
{
	struct dns_name name;
	char folded[DNS_NAME_STRLEN];
	struct dns_pattern again;

	must(p->len >= 1 && p->text[p->len] == 0 && dns_pattern_init(&again, p->text) == 0 && memcmp(&again, p, sizeof(again)) == 0);
	if (dns_name_from_text(text, &name) != 0)
		return;
	size_t n = dns_pattern_text(&name, folded);
	must(dns_pattern_matches(p, &name) == dns_pattern_matches_text(p, folded, n));
	if (strcmp(p->text, "**") == 0 || strcmp(p->text, folded) == 0)
		must(strpbrk(p->text, "[") || dns_pattern_matches(p, &name));
	if (!strpbrk(p->text, "*?["))
		must(dns_pattern_matches(p, &name) == (strcmp(p->text, folded) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[1024], *lines[LINES_MAX], *s = text;
	struct dns_pattern p[LINES_MAX];
	bool valid[LINES_MAX];
	unsigned n = 0;

	size = MIN(size, sizeof(text) - 1);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = 0;
	while (s && n < LINES_MAX) {
		lines[n] = s;
		s = strchr(s, '\n');
		if (s)
			*s++ = 0;
		valid[n] = dns_pattern_init(&p[n], lines[n]) == 0;
		n++;
	}
	for (unsigned a = 0; a < n; a++) {
		if (!valid[a])
			continue;
		for (unsigned b = 0; b < n; b++) {
			try_match(&p[a], lines[b]);
			if (!valid[b])
				continue;
			int ab = dns_pattern_cmp(&p[a], &p[b]);
			must((ab == 0) == (strcmp(p[a].text, p[b].text) == 0) && (ab > 0) == (dns_pattern_cmp(&p[b], &p[a]) < 0));
			for (unsigned c = 0; c < n; c++)
				if (valid[c] && ab > 0 && dns_pattern_cmp(&p[b], &p[c]) > 0)
					must(dns_pattern_cmp(&p[a], &p[c]) > 0);
		}
	}
	return 0;
}
