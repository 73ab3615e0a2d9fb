/* applets/common/options.h: command line, environment and defaults of every applet, from one table.
 *
 * An applet describes itself once (struct opt_spec); parsing, checking, `--help` with examples, `--version` and error messages follow from
 * the table. A value comes from the command line, else from the environment variable, else from the default. Both forms `--name value` and
 * `--name=value` are understood, short options `-n value`, `-nvalue`; `--` ends the options.
 *
 *	struct relay_config { u64 listen_port; struct ip public4; bool telemetry; const char *token; };
 *	#define F(f) offsetof(struct relay_config, f)
 *	static const struct opt_def defs[] = {
 *		{ "listen-port", 0, "LISTEN_PORT", OPT_UINT, F(listen_port), .dflt = "3478", .max = 65535, .help = "STUN/TURN port" },
 *		{ "public-ip4-addr", 0, "PUBLIC_IP4_ADDR", OPT_IP4, F(public4), .help = "announced IPv4 address" },
 *		{ "telemetry", 0, "TELEMETRY", OPT_FLAG, F(telemetry), .flags = OPT_HIDDEN },
 *		{ "token", 0, "FIREZONE_TOKEN", OPT_STR, F(token), .flags = OPT_POSITIONAL | OPT_REQUIRED | OPT_SECRET },
 *	};
 *
 * Usage errors name the option, where the value came from and what was expected, never a secret's value; the process exits 2.
 */
#pragma once

#include "core/ip/addr.h"

#include <stdio.h>

enum opt_type {
	OPT_FLAG,     /* bool: true when given; from the environment 1/0/yes/no/on/off/true/false; `--name=no` works too */
	OPT_STR,      /* const char *, borrowed from argv, the environment or the table */
	OPT_UINT,     /* u64 in [min, max]; max 0 = no limit */
	OPT_DURATION, /* u64 nanoseconds: `90s`, `5m`, `1h 30m`, `30d` (humantime) */
	OPT_CHOICE,   /* int: index into choices */
	OPT_IP,       /* struct ip, either family */
	OPT_IP4,
	OPT_IP6,
	OPT_ENDPOINT, /* struct endpoint: 1.2.3.4:5 or [::1]:5 */
	OPT_CIDR,     /* struct cidr */
	OPT_URL,      /* const char *, checked: scheme and host are there */
	OPT_LIST,     /* struct opt_list: repeatable; from the environment separated by commas */
};

#define OPT_HIDDEN (1u << 0)      /* works, but --help is silent about it */
#define OPT_REQUIRED (1u << 1)
#define OPT_POSITIONAL (1u << 2)  /* not `--name VALUE` but the next word; in table order */
#define OPT_SECRET (1u << 3)      /* never shown in messages; its variable is removed from the environment once read */
#define OPT_EMPTY_UNSET (1u << 4) /* OPT_STR: "" from anywhere counts as not given (other types always do that for the environment) */
#define OPT_ENV_ONLY (1u << 5)    /* no command line form */
#define OPT_IGNORED (1u << 6)     /* accepted for compatibility, value checked, no effect; `field` is not written.
				   * Hidden besides: `help`, if any, is said on `err` when it is given, as the reason */

#define OPT_LIST_MAX 64u

struct opt_list {
	const char *item[OPT_LIST_MAX];
	size_t n;
};

struct opt_def {
	const char *name;   /* without dashes */
	char letter;        /* 0 = none */
	const char *env;    /* NULL = none */
	enum opt_type type;
	size_t field;       /* offset in the applet's config struct */
	const char *dflt;   /* as text, parsed like a value; NULL: field stays as it is (the applet zeroes it) */
	const char *meta;   /* what --help calls the value; NULL = by type */
	const char *help;
	u64 min, max;
	const char *const *choices; /* OPT_CHOICE, NULL terminated */
	unsigned flags;
};

struct opt_command {
	const char *name;
	const char *help; /* NULL = hidden */
};

struct opt_spec {
	const char *program;  /* "emberbox relay" */
	const char *version;  /* the line --version prints, e.g. "firezone-gateway 1.5.2" */
	const char *summary;  /* one sentence */
	const struct opt_def *defs;
	size_t n_defs;
	const struct opt_command *commands; /* {NULL} terminated; NULL: no sub-commands. Parsing stops at the first word. */
	const char *examples; /* lines of "  command\n      what it does\n" */
};

enum opt_outcome {
	OPTIONS_RUN,     /* config is filled; `rest` is the index of the first word not consumed (a sub-command), or argc */
	OPTIONS_HELP,    /* --help / -h / `help`: text is on `out` */
	OPTIONS_VERSION, /* --version / -V: text is on `out` */
	OPTIONS_USAGE,   /* error: text is on `err`; exit 2 */
};

/* The environment as tests and applets see it. */
struct opt_env {
	const char *(*get)(void *ctx, const char *name);
	void (*unset)(void *ctx, const char *name);
	void *ctx;
};
extern const struct opt_env options_process_env;

/* argv[0] is skipped. `given` (may be NULL) gets a bool per def: the value came from command line or environment. */
enum opt_outcome options_parse(const struct opt_spec *spec, int argc, char *const *argv, const struct opt_env *env, void *config,
			       bool *given, int *rest, FILE *out, FILE *err);

/* The usual main(): prints to stdout/stderr and exits 0 or 2 unless the program shall run. Returns `rest`. */
int options_or_exit(const struct opt_spec *spec, int argc, char *const *argv, void *config, bool *given);

/* The value readers by themselves; ERR_INVAL. */
int options_duration(const char *text, u64 *ns) MUST_CHECK;
int options_bool(const char *text, bool *out) MUST_CHECK;
