#include "applets/applet.h"
#include "applets/version.h"
#include "core/base/types.h"

#include <applets.h>
#include <stdio.h>
#include <string.h>

struct applet {
	const char *name;
	const char *help;
	int (*main)(int argc, char **argv);
};

#define ROW(id) { #id, HELP_##id, id##_main },
static const struct applet applets[] = { APPLETS(ROW){ NULL, NULL, NULL } };

/* What is `_` in an identifier is `-` for people. */
static char shown(char c)
{
	return c == '_' ? '-' : c;
}

static bool is_called(const struct applet *a, const char *name)
{
	const char *p = a->name;

	while (*p && shown(*p) == *name)
		p++, name++;
	return !*p && !*name;
}

static const struct applet *find(const char *name)
{
	for (const struct applet *a = applets; a->name; a++)
		if (is_called(a, name))
			return a;
	return NULL;
}

/* "/usr/bin/ember-relay" and "relay" both name the relay. */
static const struct applet *find_by_path(const char *path)
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	if (strncmp(base, "ember-", 6) == 0)
		base += 6;
	return find(base);
}

static void print_help(FILE *out)
{
	fputs("emberbox " EMBERBOX_VERSION ": a Firezone-compatible system in one binary\n\n"
	      "usage: emberbox APPLET [OPTIONS]        or through a link: ember-APPLET [OPTIONS]\n"
	      "       emberbox APPLET --help\n\napplets:\n",
	      out);
	for (const struct applet *a = applets; a->name; a++) {
		int n = fprintf(out, "  ") - 2;
		for (const char *p = a->name; *p; p++, n++)
			fputc(shown(*p), out);
		fprintf(out, "%*s %s\n", MAX(12 - n, 0), "", a->help);
	}
}

int main(int argc, char **argv)
{
	const struct applet *a = argc > 0 ? find_by_path(argv[0]) : NULL;

	if (a)
		return a->main(argc, argv);
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("emberbox " EMBERBOX_VERSION);
		return 0;
	}
	a = find_by_path(argv[1]);
	if (!a) {
		fprintf(stderr, "emberbox: no applet named '%s' in this build (emberbox --help lists them)\n", argv[1]);
		return 2;
	}
	return a->main(argc - 1, argv + 1);
}
