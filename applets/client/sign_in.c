#include "applets/client/sign_in.h"

#include "applets/common/options.h"
#include "applets/common/token.h"
#include "applets/version.h"
#include "core/base/qr.h"
#include "core/http/url.h"
#include "platform/linux/textfile.h"
#include "platform/terminal.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "emberbox client"
#define SLUG_MAX 100u
#define TOKEN_LEAST 20u /* behind the nonce; ours are far longer, and half a token is worth nothing */

struct sign_options {
	const char *base, *slug, *token_path;
	bool is_forced;
};

#define S(f) offsetof(struct sign_options, f)
#define TOKEN_PATH(given)                                                                                                                  \
	{ "token-path", 0, "FIREZONE_TOKEN_PATH", OPT_STR, S(token_path), .dflt = (given), .meta = "FILE", .help = "where the token is kept" }

/* ---- the URL ------------------------------------------------------------------------------------------------------------------------- */

static bool is_slug(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= SLUG_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

/* <base>[/<slug>]?as=headless-client; a slug takes the place of the base's path. */
static bool build_url(const struct sign_options *o, char out[static URL_MAX])
{
	struct url u;
	struct span base = SPAN(o->base, strlen(o->base));

	if (url_parse(base, &u) || !(url_scheme_is(&u, "https") || url_scheme_is(&u, "http")) || u.query.n > 0)
		return false;
	int host = (int)(u.path.n > 0 ? (size_t)(u.path.p - base.p) : base.n), path = (int)u.path.n;
	if (o->slug)
		return snprintf(out, URL_MAX, "%.*s/%s?as=headless-client", host, o->base, o->slug) < (int)URL_MAX;
	return snprintf(out, URL_MAX, "%.*s%.*s?as=headless-client", host, o->base, path ? path : 1, path ? (const char *)u.path.p : "/") < (int)URL_MAX;
}

/* Two rows of squares to a line, black on white whatever the terminal's colours. */
static void print_qr(const char *text)
{
	static const char *const halves[] = { " ", "\u2580", "\u2584", "\u2588" }; /* none, upper, lower, both */
	static struct qr q;
	int from = -(int)QR_QUIET, to;

	if (qr_encode(&q, SPAN(text, strlen(text))))
		return;
	to = (int)q.size - from;
	for (int y = from; y < to; y += 2) {
		fputs("\033[0;30;107m", stdout);
		for (int x = from; x < to; x++)
			fputs(halves[qr_is_dark(&q, x, y) | qr_is_dark(&q, x, y + 1) << 1], stdout);
		fputs("\033[0m\n", stdout);
	}
	putchar('\n');
}

/* ---- the file --------------------------------------------------------------------------------------------------------------------------- */

static int complain(const char *what, const char *path)
{
	fprintf(stderr, PROGRAM ": %s %s: %s\n", what, path, strerror(errno));
	return 1;
}

/* mkdir -p of the folder that `path` lies in. */
static bool make_parents(const char *path)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *p = folder + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(folder, 0755) && errno != EEXIST)
			return false;
		*p = '/';
	}
	return true;
}

static int store(const struct token *t, const char *path)
{
	if (strlen(path) >= PATH_MAX) {
		fprintf(stderr, PROGRAM ": the path of the token is too long\n");
		return 1;
	}
	if (!make_parents(path))
		return complain("cannot make the folder of", path);
	if (textfile_replace(path, SPAN(t->text, strlen(t->text)), 0600) || chown(path, 0, 0))
		return complain("cannot store the token in", path);
	return 0;
}

/* ---- sign-in ------------------------------------------------------------------------------------------------------------------------------ */

/* Nonce, a dot, and something unguessable; headless clients' have no nonce (spec 60 §3.1). */
static bool looks_like_token(const char *text)
{
	const char *dot = strchr(text, '.');

	return dot && strlen(dot + 1) >= TOKEN_LEAST;
}

static int read_token(struct token *t)
{
	char line[2 * TOKEN_BYTES_MAX], why[TOKEN_WHY_BYTES] = "no token was given";
	int rc = terminal_ask("Paste the token here (it will not be shown), then press Enter: ", true, line, sizeof(line));

	if (rc == ERR_LIMIT)
		snprintf(why, sizeof(why), "the token is longer than %u characters", TOKEN_BYTES_MAX - 1);
	else if (rc == ERR_IO)
		snprintf(why, sizeof(why), "the token cannot be read: %s", strerror(errno));
	else if (rc >= 0)
		rc = token_from_text(t, line, why);
	if (rc >= 0 && !looks_like_token(t->text)) {
		snprintf(why, sizeof(why), "this is not a token, or not the whole of one: it has a dot and is long; nothing was stored");
		rc = ERR_INVAL;
	}
	sodium_memzero(line, sizeof(line));
	if (rc >= 0)
		return 0;
	token_wipe(t);
	fprintf(stderr, PROGRAM ": %s\n", why);
	return 1;
}

static int sign_in(const struct sign_options *o, const char *url)
{
	struct token t;
	int rc;

	printf("Open this address in a browser on any device, sign in, and copy the token that the page shows:\n\n    %s\n\n", url);
	if (terminal_can_draw())
		print_qr(url);
	fflush(stdout);
	rc = read_token(&t);
	rc = rc ? rc : store(&t, o->token_path);
	token_wipe(&t);
	if (rc)
		return rc;
	printf("The token is stored in %s. Now start the client; one that runs already must be restarted.\n", o->token_path);
	if (getenv("FIREZONE_TOKEN"))
		printf("Mind that the variable FIREZONE_TOKEN is set: it comes before the file.\n");
	return 0;
}

static int needs_root(const char *command)
{
	if (geteuid() == 0)
		return 0;
	fprintf(stderr, PROGRAM " %s: only root may have the token: run it with sudo\n", command);
	return 1;
}

int client_sign_in(const char *token_path, int argc, char **argv)
{
	struct sign_options o = { .base = NULL };
	const struct opt_def defs[] = {
		{ "auth-base-url", 0, "FIREZONE_AUTH_BASE_URL", OPT_URL, S(base), .dflt = "https://app.firezone.dev", .meta = "URL",
		  .help = "where people sign in: the portal's web address" },
		{ "account-slug", 0, "FIREZONE_ACCOUNT_SLUG", OPT_STR, S(slug), .meta = "SLUG", .flags = OPT_EMPTY_UNSET,
		  .help = "the account, so that the page need not ask for it" },
		TOKEN_PATH(token_path),
	};
	const struct opt_spec spec = {
		.program = PROGRAM " sign-in",
		.version = "emberbox " EMBERBOX_VERSION,
		.summary = "Prints an address where you sign in with any browser, takes the token that it shows, and stores it for the client.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox client sign-in --auth-base-url https://portal.example.org --account-slug acme\n"
			    "      then: emberbox client --api-url wss://portal.example.org/\n"
			    "  emberbox client sign-in <token.txt\n"
			    "      take the token from a file or pipe\n",
	};
	char url[URL_MAX];

	options_or_exit(&spec, argc, argv, &o, NULL);
	if (o.slug && !is_slug(o.slug)) {
		fprintf(stderr, "%s: --account-slug: '%s' is neither the short name nor the id of an account\n", spec.program, o.slug);
		return 2;
	}
	if (!build_url(&o, url)) {
		fprintf(stderr, "%s: --auth-base-url: '%s' is not a web address such as https://portal.example.org\n", spec.program, o.base);
		return 2;
	}
	return needs_root("sign-in") ? 1 : sign_in(&o, url);
}

/* ---- sign-out ------------------------------------------------------------------------------------------------------------------------------ */

static bool is_sure(const char *path)
{
	char answer[16], question[PATH_MAX + 200];

	snprintf(question, sizeof(question), "This removes the token in %s; the client cannot start until you sign in again. Go on? [y/N] ", path);
	return terminal_ask(question, false, answer, sizeof(answer)) > 0 && (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0);
}

int client_sign_out(const char *token_path, int argc, char **argv)
{
	struct sign_options o = { .base = NULL };
	const struct opt_def defs[] = {
		{ "force", 'f', NULL, OPT_FLAG, S(is_forced), .help = "do not ask" },
		TOKEN_PATH(token_path),
	};
	const struct opt_spec spec = {
		.program = PROGRAM " sign-out",
		.version = "emberbox " EMBERBOX_VERSION,
		.summary = "Removes the stored token. The portal is not told: an administrator can revoke it there.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox client sign-out\n  emberbox client sign-out --force\n      without asking, for scripts\n",
	};

	options_or_exit(&spec, argc, argv, &o, NULL);
	if (access(o.token_path, F_OK) && errno == ENOENT) {
		printf("Nobody is signed in: there is no token in %s.\n", o.token_path);
		return 0;
	}
	if (needs_root("sign-out"))
		return 1;
	if (!o.is_forced && !is_sure(o.token_path)) {
		printf("Cancelled; the token is still there.\n");
		return 0;
	}
	if (unlink(o.token_path) && errno != ENOENT)
		return complain("cannot remove", o.token_path);
	printf("Signed out: the token is removed. A client that runs keeps running until it is stopped.\n");
	return 0;
}
