#include "applets/common/options.h"
#include "applets/common/options_value.h"
#include "core/base/err.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define DEFS_MAX 128u
#define EXPECTED_MAX 256u
#define HELP_COLUMN 34
#define HELP_WIDTH 100

struct parse {
	const struct opt_spec *spec;
	const struct opt_env *env;
	void *config;
	FILE *out, *err;
	bool given[DEFS_MAX];
};

/* --- environment ------------------------------------------------------------------------------------------------------------------------ */

static const char *process_get(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* Also out of /proc/PID/environ. */
static void process_unset(void *ctx, const char *name)
{
	char *value = getenv(name);

	(void)ctx;
	if (value)
		sodium_memzero(value, strlen(value));
	unsetenv(name);
}

const struct opt_env options_process_env = { process_get, process_unset, NULL };

/* --- errors ------------------------------------------------------------------------------------------------------------------------------- */

static enum opt_outcome usage(const struct parse *p)
{
	fprintf(p->err, "Try \"%s --help\".\n", p->spec->program);
	return OPTIONS_USAGE;
}

/* How the user wrote it, or would have. */
static const char *shown_name(const struct opt_def *def, char buf[static 80])
{
	if (def->flags & OPT_POSITIONAL)
		snprintf(buf, 80, "<%s>", def->name);
	else if (def->flags & OPT_ENV_ONLY)
		snprintf(buf, 80, "%s", def->env);
	else
		snprintf(buf, 80, "--%s", def->name);
	return buf;
}

/* `where` is the option as written or the variable. */
static enum opt_outcome set(struct parse *p, const struct opt_def *def, const char *where, const char *text)
{
	char expected[EXPECTED_MAX] = "something else";

	if (opt_store(def, text, p->config, expected, sizeof(expected)) == 0)
		return OPTIONS_RUN;
	if (def->type == OPT_LIST)
		fprintf(p->err, "%s: %s can be %s\n", p->spec->program, where, expected);
	else if (def->flags & OPT_SECRET)
		fprintf(p->err, "%s: %s: the value must be %s\n", p->spec->program, where, expected);
	else
		fprintf(p->err, "%s: %s: \"%s\" is not %s\n", p->spec->program, where, text, expected);
	return usage(p);
}

/* Edits (insert, delete, replace) that turn a into b. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n >= ARRAY_LEN(row) || strlen(a) >= ARRAY_LEN(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t replace = diagonal + (a[i] != b[j]);
			size_t other = MIN(row[j], row[j + 1]) + 1;
			diagonal = row[j + 1];
			row[j + 1] = MIN(replace, other);
		}
	}
	return row[n];
}

static enum opt_outcome unknown_option(const struct parse *p, const char *word)
{
	const struct opt_def *best = NULL;
	size_t best_distance = 3; /* farther is no typing mistake */

	for (size_t i = 0; i < p->spec->n_defs; i++) {
		const struct opt_def *d = &p->spec->defs[i];
		if (d->flags & (OPT_POSITIONAL | OPT_ENV_ONLY | OPT_HIDDEN) || strncmp(word, "--", 2) != 0)
			continue;
		size_t n = distance(word + 2, d->name);
		if (n < best_distance) {
			best_distance = n;
			best = d;
		}
	}
	fprintf(p->err, "%s: unknown option %s", p->spec->program, word);
	if (best)
		fprintf(p->err, "; did you mean --%s?", best->name);
	fputc('\n', p->err);
	return usage(p);
}

/* --- help --------------------------------------------------------------------------------------------------------------------------------- */

/* Wraps `text` behind the column that names are printed in. */
static void print_wrapped(FILE *out, int column, const char *text)
{
	if (column > HELP_COLUMN - 2) {
		fputc('\n', out);
		column = 0;
	}
	fprintf(out, "%*s", HELP_COLUMN - column, "");
	column = HELP_COLUMN;
	while (*text) {
		size_t n = strcspn(text, " ");
		if (column + (int)n > HELP_WIDTH && column > HELP_COLUMN) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		column += fprintf(out, "%.*s ", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_def(FILE *out, const struct opt_def *d)
{
	char meta[128], text[700];
	const char *value = opt_meta(d, meta, sizeof(meta));
	int column;

	if (d->flags & OPT_POSITIONAL)
		column = fprintf(out, "  <%s>", d->name);
	else if (d->flags & OPT_ENV_ONLY)
		column = fprintf(out, "  %s", d->env);
	else if (d->letter)
		column = fprintf(out, "  -%c, --%s", d->letter, d->name);
	else
		column = fprintf(out, "      --%s", d->name);
	if (*value && !(d->flags & OPT_POSITIONAL))
		column += fprintf(out, "%s%s", d->flags & OPT_ENV_ONLY ? "=" : " ", value);
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", d->help ? d->help : "");
	if (d->flags & OPT_REQUIRED && n < sizeof(text))
		n += (size_t)snprintf(text + n, sizeof(text) - n, " (required)");
	if (d->dflt && n < sizeof(text))
		n += (size_t)snprintf(text + n, sizeof(text) - n, " [default: %s]", d->dflt);
	if (d->env && !(d->flags & OPT_ENV_ONLY) && n < sizeof(text))
		snprintf(text + n, sizeof(text) - n, " [env: %s]", d->env);
	print_wrapped(out, column, text);
}

static void print_group(const struct parse *p, const char *title, unsigned wanted, unsigned unwanted)
{
	bool has_title = false;

	for (size_t i = 0; i < p->spec->n_defs; i++) {
		const struct opt_def *d = &p->spec->defs[i];
		if ((d->flags & wanted) != wanted || d->flags & (unwanted | OPT_HIDDEN))
			continue;
		if (!has_title)
			fprintf(p->out, "\n%s:\n", title);
		has_title = true;
		print_def(p->out, d);
	}
}

static bool has_visible_command(const struct opt_spec *s)
{
	for (const struct opt_command *c = s->commands; c && c->name; c++)
		if (c->help)
			return true;
	return false;
}

static enum opt_outcome help(const struct parse *p)
{
	const struct opt_spec *s = p->spec;
	bool has_commands = has_visible_command(s);

	fprintf(p->out, "%s\n\nUsage: %s [OPTIONS]", s->summary, s->program);
	for (size_t i = 0; i < s->n_defs; i++)
		if (s->defs[i].flags & OPT_POSITIONAL && !(s->defs[i].flags & OPT_HIDDEN))
			fprintf(p->out, s->defs[i].flags & OPT_REQUIRED && !s->defs[i].env ? " <%s>" : " [%s]", s->defs[i].name);
	fputs(has_commands ? " COMMAND …\n" : "\n", p->out);
	if (s->examples)
		fprintf(p->out, "\nExamples:\n%s", s->examples);
	if (has_commands) {
		fputs("\nCommands:\n", p->out);
		for (const struct opt_command *c = s->commands; c->name; c++)
			if (c->help)
				print_wrapped(p->out, fprintf(p->out, "  %s", c->name), c->help);
	}
	print_group(p, "Arguments", OPT_POSITIONAL, 0);
	print_group(p, "Options", 0, OPT_POSITIONAL | OPT_ENV_ONLY);
	if (s->n_defs == 0)
		fputs("\nOptions:\n", p->out);
	print_wrapped(p->out, fprintf(p->out, "  -h, --help"), "show this text");
	if (s->version)
		print_wrapped(p->out, fprintf(p->out, "  -V, --version"), "show the version");
	print_group(p, "Environment", OPT_ENV_ONLY, 0);
	return OPTIONS_HELP;
}

static enum opt_outcome version(const struct parse *p)
{
	fprintf(p->out, "%s\n", p->spec->version);
	return OPTIONS_VERSION;
}

/* --- command line -------------------------------------------------------------------------------------------------------------------------- */

static bool has_cli_form(const struct opt_def *d)
{
	return !(d->flags & (OPT_POSITIONAL | OPT_ENV_ONLY));
}

static const struct opt_def *by_name(const struct opt_spec *s, const char *name, size_t n)
{
	for (size_t i = 0; i < s->n_defs; i++)
		if (has_cli_form(&s->defs[i]) && strlen(s->defs[i].name) == n && memcmp(s->defs[i].name, name, n) == 0)
			return &s->defs[i];
	return NULL;
}

static const struct opt_def *by_letter(const struct opt_spec *s, char letter)
{
	for (size_t i = 0; i < s->n_defs; i++)
		if (has_cli_form(&s->defs[i]) && s->defs[i].letter && s->defs[i].letter == letter)
			return &s->defs[i];
	return NULL;
}

static const struct opt_def *next_positional(const struct parse *p)
{
	for (size_t i = 0; i < p->spec->n_defs; i++) {
		const struct opt_def *d = &p->spec->defs[i];
		if (d->flags & OPT_POSITIONAL && (!p->given[i] || d->type == OPT_LIST))
			return d;
	}
	return NULL;
}

static enum opt_outcome give(struct parse *p, const struct opt_def *def, const char *where, const char *text)
{
	bool *given = &p->given[def - p->spec->defs];

	if (*given && def->type != OPT_LIST && def->type != OPT_FLAG) {
		fprintf(p->err, "%s: %s is given twice\n", p->spec->program, where);
		return usage(p);
	}
	if (*text == 0 && def->flags & OPT_EMPTY_UNSET)
		return OPTIONS_RUN;
	*given = true;
	return set(p, def, where, text);
}

/* One word that begins with '-'; may take the next word too. */
static enum opt_outcome option(struct parse *p, int argc, char *const *argv, int *i)
{
	const char *word = argv[*i], *value = NULL;
	const struct opt_def *def;
	char where[80];

	if (word[1] == '-') {
		size_t n = strcspn(word + 2, "=");
		def = by_name(p->spec, word + 2, n);
		if (word[2 + n] == '=')
			value = word + 3 + n;
		snprintf(where, sizeof(where), "--%.*s", (int)MIN(n, (size_t)70), word + 2);
	} else {
		def = by_letter(p->spec, word[1]);
		if (word[2])
			value = word + 2 + (word[2] == '=');
		snprintf(where, sizeof(where), "-%c", word[1]);
	}
	if (!def && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
		return help(p);
	if (!def && p->spec->version && (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0))
		return version(p);
	if (!def)
		return unknown_option(p, word[1] == '-' ? where : word);
	if (def->type == OPT_FLAG)
		return give(p, def, where, value ? value : "true");
	if (!value && *i + 1 < argc)
		value = argv[++*i];
	if (!value) {
		fprintf(p->err, "%s: %s needs a value\n", p->spec->program, where);
		return usage(p);
	}
	return give(p, def, where, value);
}

static enum opt_outcome command_line(struct parse *p, int argc, char *const *argv, int *rest)
{
	bool options_are_over = false;
	int i = 1;

	for (; i < argc; i++) {
		const char *word = argv[i];
		enum opt_outcome o;
		if (!options_are_over && strcmp(word, "--") == 0) {
			options_are_over = true;
			continue;
		}
		if (!options_are_over && word[0] == '-' && word[1]) {
			o = option(p, argc, argv, &i);
		} else if (p->spec->commands) {
			if (strcmp(word, "help") == 0)
				return help(p);
			break;
		} else {
			const struct opt_def *def = next_positional(p);
			char where[80];
			if (!def) {
				fprintf(p->err, "%s: unexpected argument \"%s\"\n", p->spec->program, word);
				return usage(p);
			}
			o = give(p, def, shown_name(def, where), word);
		}
		if (o != OPTIONS_RUN)
			return o;
	}
	*rest = i;
	return OPTIONS_RUN;
}

/* --- environment and defaults ------------------------------------------------------------------------------------------------------------- */

static enum opt_outcome set_list_from_env(struct parse *p, const struct opt_def *def, char *text)
{
	char *save = NULL;

	for (char *item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		while (isspace((unsigned char)*item))
			item++;
		enum opt_outcome o = set(p, def, def->env, item);
		if (o != OPTIONS_RUN)
			return o;
	}
	return OPTIONS_RUN;
}

/* Values from the environment are copied, for the variable may be wiped or changed; they live as long as the process. */
struct kept {
	struct kept *next;
	char text[];
};

static char *keep(const char *value)
{
	static struct kept *all;
	size_t n = strlen(value) + 1;
	struct kept *k = malloc(sizeof(*k) + n);

	if (!k)
		return NULL;
	memcpy(k->text, value, n);
	k->next = all;
	all = k;
	return k->text;
}

static enum opt_outcome from_env(struct parse *p, size_t i)
{
	const struct opt_def *def = &p->spec->defs[i];
	const char *value = def->env ? p->env->get(p->env->ctx, def->env) : NULL;
	enum opt_outcome o = OPTIONS_RUN;

	if (value && !(*value == 0 && (def->type != OPT_STR || def->flags & OPT_EMPTY_UNSET)) && !p->given[i]) {
		char *kept = keep(value);
		if (!kept) {
			fprintf(p->err, "%s: out of memory\n", p->spec->program);
			return OPTIONS_USAGE;
		}
		p->given[i] = true;
		o = def->type == OPT_LIST ? set_list_from_env(p, def, kept) : set(p, def, def->env, kept);
	}
	if (value && def->flags & OPT_SECRET)
		p->env->unset(p->env->ctx, def->env);
	return o;
}

static enum opt_outcome fill_in(struct parse *p)
{
	for (size_t i = 0; i < p->spec->n_defs; i++) {
		const struct opt_def *def = &p->spec->defs[i];
		char name[80];
		enum opt_outcome o = from_env(p, i);
		if (o == OPTIONS_RUN && !p->given[i] && def->dflt)
			o = set(p, def, "default value", def->dflt);
		if (o != OPTIONS_RUN)
			return o;
		if (!p->given[i] && def->flags & OPT_REQUIRED) {
			fprintf(p->err, "%s: %s is required", p->spec->program, shown_name(def, name));
			if (def->env && !(def->flags & OPT_ENV_ONLY))
				fprintf(p->err, "; it can also be given by the environment variable %s", def->env);
			fputc('\n', p->err);
			return usage(p);
		}
	}
	return OPTIONS_RUN;
}

/* Who relies on what has no effect here must learn it before he waits for it. */
static void tell_ignored(const struct parse *p)
{
	const unsigned silent = OPT_IGNORED | OPT_HIDDEN;

	for (size_t i = 0; i < p->spec->n_defs; i++) {
		const struct opt_def *def = &p->spec->defs[i];
		char name[80];
		if (p->given[i] && (def->flags & silent) == silent && def->help)
			fprintf(p->err, "%s: %s has no effect: %s\n", p->spec->program, shown_name(def, name), def->help);
	}
}

enum opt_outcome options_parse(const struct opt_spec *spec, int argc, char *const *argv, const struct opt_env *env, void *config,
			       bool *given, int *rest, FILE *out, FILE *err)
{
	struct parse p = { .spec = spec, .env = env, .config = config, .out = out, .err = err };
	enum opt_outcome o;

	if (spec->n_defs > DEFS_MAX) {
		fprintf(err, "%s: more than %u options are declared\n", spec->program, DEFS_MAX);
		return OPTIONS_USAGE;
	}
	*rest = argc;
	o = command_line(&p, argc, argv, rest);
	if (o == OPTIONS_RUN)
		o = fill_in(&p);
	if (o == OPTIONS_RUN)
		tell_ignored(&p);
	if (given)
		memcpy(given, p.given, spec->n_defs * sizeof(*given));
	return o;
}

int options_or_exit(const struct opt_spec *spec, int argc, char *const *argv, void *config, bool *given)
{
	int rest;

	switch (options_parse(spec, argc, argv, &options_process_env, config, given, &rest, stdout, stderr)) {
	case OPTIONS_RUN:
		return rest;
	case OPTIONS_HELP:
	case OPTIONS_VERSION:
		exit(fflush(stdout) ? 1 : 0);
	case OPTIONS_USAGE:
		break;
	}
	exit(2);
}
