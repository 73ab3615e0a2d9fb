/* Option parsing: sources, types, messages. */
#include "applets/common/options.h"
#include "core/base/err.h"
#include "core/base/time.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

struct config {
	u64 port, time;
	struct ip public4;
	struct endpoint health;
	bool telemetry;
	const char *token, *name, *url, *id;
	int format;
	struct opt_list users;
};

#define F(f) offsetof(struct config, f)
static const char *const formats[] = { "human", "json", NULL };
static const struct opt_def defs[] = {
	{ "listen-port", 'p', "LISTEN_PORT", OPT_UINT, F(port), .dflt = "3478", .min = 1, .max = 65535, .help = "STUN/TURN port" },
	{ "max-time", 'm', "MAX_TIME", OPT_DURATION, F(time), .dflt = "24h", .help = "patience" },
	{ "public-ip4-addr", 0, "PUBLIC_IP4_ADDR", OPT_IP4, F(public4), .help = "announced address" },
	{ "health", 0, "HEALTH", OPT_ENDPOINT, F(health), .dflt = "0.0.0.0:8080", .flags = OPT_HIDDEN },
	{ "telemetry", 't', "TELEMETRY", OPT_FLAG, F(telemetry), .help = "accepted" },
	{ "log-format", 0, "LOG_FORMAT", OPT_CHOICE, F(format), .dflt = "human", .choices = formats, .help = "of log lines" },
	{ "api-url", 'u', "API_URL", OPT_URL, F(url), .help = "portal", .flags = OPT_REQUIRED },
	{ "user", 0, "USERS", OPT_LIST, F(users), .meta = "NAME:PASSWORD", .help = "repeatable" },
	{ "id", 'i', "ID", OPT_STR, F(id), .flags = OPT_EMPTY_UNSET, .help = "device" },
	{ "threads", 0, "THREADS", OPT_UINT, 0, .flags = OPT_IGNORED | OPT_HIDDEN, .help = "one is enough" },
	{ "token", 0, "TOKEN", OPT_STR, F(token), .flags = OPT_POSITIONAL | OPT_SECRET, .help = "of the relay" },
	{ "name", 0, "NAME", OPT_STR, F(name), .flags = OPT_POSITIONAL, .help = "to show" },
};
static const struct opt_spec spec = { "emberbox thing", "thing 1.2.3", "Does things.", defs, ARRAY_LEN(defs), NULL,
				      "  emberbox thing -u wss://portal.example.org\n      as simple as that\n" };

static const char *env_pairs[8];
static char unset_name[32];

static const char *env_get(void *ctx, const char *name)
{
	(void)ctx;
	for (size_t i = 0; i + 1 < ARRAY_LEN(env_pairs) && env_pairs[i]; i += 2)
		if (strcmp(env_pairs[i], name) == 0)
			return env_pairs[i + 1];
	return NULL;
}

static void env_unset(void *ctx, const char *name)
{
	(void)ctx;
	strcpy(unset_name, name);
}

static struct config cfg;
static bool given[ARRAY_LEN(defs)];
static char *out_text, *err_text;
static int rest;

/* Words separated by '|'. */
static enum opt_outcome run_spec(const struct opt_spec *s, const char *line)
{
	static const struct opt_env env = { env_get, env_unset, NULL };
	static char copy[400];
	char *argv[20] = { (char *)"thing" };
	int argc = 1;
	size_t out_n, err_n;

	free(out_text);
	free(err_text);
	FILE *out = open_memstream(&out_text, &out_n), *err = open_memstream(&err_text, &err_n);
	strcpy(copy, line);
	char *save = NULL;
	for (char *w = strtok_r(copy, "|", &save); w; w = strtok_r(NULL, "|", &save))
		argv[argc++] = strcmp(w, "EMPTY") == 0 ? (char *)"" : w;
	memset(&cfg, 0, sizeof(cfg));
	enum opt_outcome o = options_parse(s, argc, argv, &env, &cfg, given, &rest, out, err);
	fclose(out);
	fclose(err);
	return o;
}

static enum opt_outcome run(const char *line)
{
	return run_spec(&spec, line);
}

TEST(options_command_line_beats_environment_beats_default)
{
	memcpy(env_pairs, (const char *[8]){ "API_URL", "wss://env.example", "MAX_TIME", "5m", NULL }, sizeof(env_pairs));
	REQUIRE(run("") == OPTIONS_RUN);
	EXPECT_EQ(cfg.port, 3478);
	EXPECT_EQ(cfg.time, MINUTES(5));
	EXPECT_STR(cfg.url, "wss://env.example");
	EXPECT(!given[0] && given[1] && given[6]);
	REQUIRE(run("--max-time=90s|--listen-port|99|-uwss://cli.example|-t") == OPTIONS_RUN);
	EXPECT_EQ(cfg.port, 99);
	EXPECT_EQ(cfg.time, SEC(90));
	EXPECT_STR(cfg.url, "wss://cli.example");
	EXPECT(cfg.telemetry);
}

TEST(options_typed_values_and_positionals)
{
	memcpy(env_pairs, (const char *[8]){ "USERS", "a:1, b:2" }, sizeof(env_pairs));
	REQUIRE(run("-u|wss://x|--public-ip4-addr|1.2.3.4|--log-format=json|--health|[::1]:80|--threads|7|--telemetry=no|tok|--|-name") == OPTIONS_RUN);
	EXPECT_EQ(cfg.public4.b[3], 4);
	EXPECT_EQ(cfg.format, 1);
	EXPECT_EQ(cfg.health.port, 80);
	EXPECT_STR(cfg.token, "tok");
	EXPECT_STR(cfg.name, "-name");
	EXPECT(!cfg.telemetry);
	EXPECT_STR(err_text, "emberbox thing: --threads has no effect: one is enough\n");
	REQUIRE(cfg.users.n == 2);
	EXPECT_STR(cfg.users.item[1], "b:2");
	env_pairs[0] = NULL;
	REQUIRE(run("-u|wss://x|--user|c:3|--user=d:4") == OPTIONS_RUN);
	EXPECT_EQ(cfg.users.n, 2);
	EXPECT_EQ(rest, 6);
}

TEST(options_errors_name_option_source_and_expectation)
{
	memset(env_pairs, 0, sizeof(env_pairs));
	static const struct { const char *line, *want; } t[] = {
		{ "-u|wss://x|--listen-port|99999", "emberbox thing: --listen-port: \"99999\" is not a number from 1 to 65535\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|-p0", "emberbox thing: -p: \"0\" is not a number from 1 to 65535\nTry \"emberbox thing --help\".\n" },
		{ "-u|x", "emberbox thing: -u: \"x\" is not a URL like https://portal.example.org\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|--log-format=xml", "emberbox thing: --log-format: \"xml\" is not one of human, json\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|--listenport|5", "emberbox thing: unknown option --listenport; did you mean --listen-port?\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|--frobnicate", "emberbox thing: unknown option --frobnicate\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|-z", "emberbox thing: unknown option -z\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|-p", "emberbox thing: -p needs a value\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|-u|wss://y", "emberbox thing: -u is given twice\nTry \"emberbox thing --help\".\n" },
		{ "-u|wss://x|a|b|c", "emberbox thing: unexpected argument \"c\"\nTry \"emberbox thing --help\".\n" },
		{ "", "emberbox thing: --api-url is required; it can also be given by the environment variable API_URL\nTry \"emberbox thing --help\".\n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		EXPECT_EQ(run(t[i].line), OPTIONS_USAGE);
		EXPECT_STR(err_text, t[i].want);
	}
	memcpy(env_pairs, (const char *[8]){ "TELEMETRY", "maybe" }, sizeof(env_pairs));
	EXPECT_EQ(run("-u|wss://x"), OPTIONS_USAGE);
	EXPECT_STR(err_text, "emberbox thing: TELEMETRY: \"maybe\" is not true or false\nTry \"emberbox thing --help\".\n");
}

TEST(options_secret_variable_is_removed_once_read)
{
	memcpy(env_pairs, (const char *[8]){ "TOKEN", "hush" }, sizeof(env_pairs));
	unset_name[0] = 0;
	REQUIRE(run("-u|wss://x") == OPTIONS_RUN);
	EXPECT_STR(cfg.token, "hush");
	EXPECT_STR(unset_name, "TOKEN");
	unset_name[0] = 0;
	REQUIRE(run("-u|wss://x|other") == OPTIONS_RUN);
	EXPECT_STR(cfg.token, "other");
	EXPECT_STR(unset_name, "TOKEN");
}

TEST(options_empty_values_count_as_unset_where_declared)
{
	memcpy(env_pairs, (const char *[8]){ "ID", "", "PUBLIC_IP4_ADDR", "", "NAME", "" }, sizeof(env_pairs));
	REQUIRE(run("-u|wss://x") == OPTIONS_RUN);
	EXPECT(cfg.id == NULL);
	EXPECT_EQ(cfg.public4.family, 0);
	EXPECT_STR(cfg.name, "");
	REQUIRE(run("-u|wss://x|-i|EMPTY") == OPTIONS_RUN);
	EXPECT(cfg.id == NULL);
}

TEST(options_help_teaches_and_hides)
{
	memset(env_pairs, 0, sizeof(env_pairs));
	REQUIRE(run("--help") == OPTIONS_HELP);
	EXPECT(strstr(out_text, "Usage: emberbox thing [OPTIONS] [token] [name]") != NULL);
	EXPECT(strstr(out_text, "as simple as that") != NULL);
	EXPECT(strstr(out_text, "  -p, --listen-port N             STUN/TURN port [default: 3478] [env: LISTEN_PORT]") != NULL);
	EXPECT(strstr(out_text, "--log-format human|json") != NULL);
	EXPECT(!strstr(out_text, "health") && !strstr(out_text, "threads"));
	REQUIRE(run("-V") == OPTIONS_VERSION);
	EXPECT_STR(out_text, "thing 1.2.3\n");
}

TEST(options_stop_at_a_sub_command)
{
	static const struct opt_command commands[] = { { "sign-in", "get a token" }, { "standalone", NULL }, { NULL, NULL } };
	struct opt_spec s = spec;

	memset(env_pairs, 0, sizeof(env_pairs));
	s.commands = commands;
	REQUIRE(run_spec(&s, "-u|wss://x|sign-in|--whatever") == OPTIONS_RUN);
	EXPECT_EQ(rest, 3);
	REQUIRE(run_spec(&s, "help") == OPTIONS_HELP);
	EXPECT(strstr(out_text, "  sign-in                         get a token") != NULL);
	EXPECT(!strstr(out_text, "standalone"));
}

TEST(spec30_18_durations_are_humantime)
{
	static const struct { const char *text; u64 ns; } good[] = { { "90s", SEC(90) }, { "5m", MINUTES(5) }, { "1h 30m", MINUTES(90) }, { "1h30m", MINUTES(90) },
		{ "30d", SEC(30 * 86400) }, { "2weeks", SEC(14 * 86400) }, { "500 ms", MSEC(500) }, { "0", 0 }, { "1y", SEC(31557600) }, { " 1min ", SEC(60) } };
	static const char *const bad[] = { "", "5", "m", "5x", "-5m", "5m 3", "99999999999999999999s", "600000000000y", "1.5h", "5 m m" };
	u64 ns;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!EXPECT_EQ(options_duration(good[i].text, &ns), 0))
			test_fail(__FILE__, __LINE__, "refused: %s", good[i].text);
		EXPECT_EQ(ns, good[i].ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (options_duration(bad[i], &ns) == 0)
			test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
}

TEST(spec30_18_booleans_in_all_usual_spellings)
{
	static const char *const yes[] = { "1", "yes", "on", "true", "TRUE" }, *const no[] = { "0", "no", "off", "false", "No" };
	bool b;

	for (size_t i = 0; i < 5; i++) {
		EXPECT(options_bool(yes[i], &b) == 0 && b);
		EXPECT(options_bool(no[i], &b) == 0 && !b);
	}
	EXPECT_EQ(options_bool("", &b), ERR_INVAL);
	EXPECT_EQ(options_bool("2", &b), ERR_INVAL);
}
