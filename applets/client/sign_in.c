#include "applets/client/sign_in.h"

#include "applets/common/options.h"
#include "applets/common/token.h"
#include "applets/version.h"
#include "core/base/qr.h"
#include "core/http/url.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define PROGRAM "emberbox client"
#define AUTH_BASE_URL "https://app.firezone.dev"
#define ADDRESS_MAX (URL_MAX + 256u)
#define PATH_LEN_MAX 1024u

/* ---- the address ------------------------------------------------------------------------------------------------------------------------ */

struct sign_in_options {
	const char *base, *slug;
};

/* The base's path gives way to the slug. */
static int make_address(const struct sign_in_options *o, char out[static ADDRESS_MAX])
{
	struct url u;

	if (url_parse(SPAN(o->base, strlen(o->base)), &u) || (!url_scheme_is(&u, "https") && !url_scheme_is(&u, "http"))) {
		fprintf(stderr, PROGRAM " sign-in: --auth-base-url: '%s' is not a URL such as https://portal.example.org\n", o->base);
		return 2;
	}
	for (const char *p = o->slug ? o->slug : ""; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p)) {
			fprintf(stderr, PROGRAM " sign-in: --account-slug: '%s' is neither a slug nor an id\n", o->slug);
			return 2;
		}
	snprintf(out, ADDRESS_MAX, "%.*s/%.200s?as=headless-client", (int)(u.path.p ? (size_t)((const char *)u.path.p - o->base) : strlen(o->base)),
		 o->base, o->slug ? o->slug : "");
	return 0;
}

/* Two rows of squares to a line, black on white whatever the terminal's colours. */
static void print_qr(const char *text)
{
	static const char *const halves[] = { " ", "\u2580", "\u2584", "\u2588" };
	static struct qr q;
	int from = -(int)QR_QUIET / 2, to;

	if (!isatty(STDOUT_FILENO) || qr_encode(&q, SPAN(text, strlen(text))))
		return;
	to = (int)q.size - from;
	for (int y = from; y < to; y += 2) {
		fputs("\033[0;30;107m", stdout);
		for (int x = from; x < to; x++)
			fputs(halves[qr_is_dark(&q, x, y) | qr_is_dark(&q, x, y + 1) << 1], stdout);
		fputs("\033[0m\n", stdout);
	}
	fputc('\n', stdout);
}

/* ---- the token ---------------------------------------------------------------------------------------------------------------------------- */

/* One line from the terminal, which does not show it; without a terminal from the standard input. */
static int read_line(char *out, size_t cap)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc = ERR_IO;
	FILE *f = fd >= 0 ? fdopen(fd, "r") : stdin;
	struct termios before, silent;
	bool is_terminal = f && tcgetattr(fileno(f), &before) == 0;

	if (!f)
		return ERR_IO;
	if (is_terminal) {
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		silent.c_lflag |= ICANON;
		(void)tcsetattr(fileno(f), TCSAFLUSH, &silent);
	}
	setvbuf(f, NULL, _IONBF, 0);
	if (fgets(out, (int)cap, f))
		rc = 0;
	if (is_terminal) {
		(void)tcsetattr(fileno(f), TCSAFLUSH, &before);
		fputc('\n', stdout);
	}
	if (f != stdin)
		fclose(f);
	return rc;
}

static int make_parents(const char *path)
{
	char dir[PATH_LEN_MAX];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *p = dir + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(dir, 0755) && errno != EEXIST)
				return ERR_IO;
			*p = '/';
		}
	return 0;
}

/* Beside it first, then in its place. */
static int write_token(const char *path, const char *token)
{
	char draft[PATH_LEN_MAX];
	size_t n = strlen(token);
	int rc = strlen(path) + 5 > sizeof(draft) ? ERR_INVAL : make_parents(path);

	if (rc)
		return rc;
	snprintf(draft, sizeof(draft), "%s.new", path);
	unlink(draft);
	int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return ERR_IO;
	if (fchown(fd, 0, 0) || fchmod(fd, 0600) || write(fd, token, n) != (ssize_t)n || fsync(fd))
		rc = ERR_IO;
	int why = errno;
	close(fd);
	errno = why;
	if (!rc && rename(draft, path))
		rc = ERR_IO;
	if (rc) {
		why = errno;
		unlink(draft);
		errno = why;
	}
	return rc;
}

static int take_token(const char *path)
{
	char line[2 * TOKEN_BYTES_MAX], why[TOKEN_WHY_BYTES];
	struct token token = { "" };
	int rc = 1;

	if (read_line(line, sizeof(line)))
		fprintf(stderr, PROGRAM " sign-in: no token was given\n");
	else if (token_from_text(&token, line, why))
		fprintf(stderr, PROGRAM " sign-in: %s\n", why);
	else if (write_token(path, token.text))
		fprintf(stderr, PROGRAM " sign-in: cannot write %s: %s%s\n", path, strerror(errno), geteuid() ? " (run this as root)" : "");
	else
		rc = 0;
	sodium_memzero(line, sizeof(line));
	token_wipe(&token);
	return rc;
}

int client_sign_in(const char *token_path, int argc, char **argv)
{
	static const struct opt_def defs[] = {
		{ "auth-base-url", 0, "FIREZONE_AUTH_BASE_URL", OPT_STR, offsetof(struct sign_in_options, base), .dflt = AUTH_BASE_URL, .meta = "URL",
		  .help = "where the portal's pages are" },
		{ "account-slug", 0, "FIREZONE_ACCOUNT_SLUG", OPT_STR, offsetof(struct sign_in_options, slug), .meta = "SLUG",
		  .help = "the account to sign in to; when not given, the page asks" },
	};
	static const struct opt_spec spec = {
		.program = PROGRAM " sign-in",
		.version = "emberbox " EMBERBOX_VERSION,
		.summary = "Gets a token by way of a browser, on this machine or another, and keeps it for the client.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox client sign-in --auth-base-url https://portal.example.org --account-slug acme\n",
	};
	struct sign_in_options o = { NULL, NULL };
	char address[ADDRESS_MAX];
	int rest = options_or_exit(&spec, argc, argv, &o, NULL);

	if (rest < argc) {
		fprintf(stderr, PROGRAM " sign-in: '%s' is one word too many\n", argv[rest]);
		return 2;
	}
	int rc = make_address(&o, address);
	if (rc)
		return rc;
	printf("Open this address in a browser, sign in, and copy the token that is shown:\n\n  %s\n\n", address);
	print_qr(address);
	printf("Paste the token here (it will not be shown), then press Enter: ");
	fflush(stdout);
	rc = take_token(token_path);
	if (rc == 0)
		printf("The token is in %s. Start the client with: emberbox client\n", token_path);
	return rc;
}

/* ---- signing out ------------------------------------------------------------------------------------------------------------------------------ */

static bool is_confirmed(const char *path)
{
	char answer[16] = "";

	printf("This removes the token in %s. A client that runs goes on until it is stopped; to connect again you must sign in again.\nSign out? [y/N] ",
	       path);
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\r\n")] = '\0';
	return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

int client_sign_out(const char *token_path, int argc, char **argv)
{
	struct {
		bool is_forced;
	} o = { false };
	static const struct opt_def defs[] = { { "force", 'f', NULL, OPT_FLAG, 0, .help = "do not ask" } };
	static const struct opt_spec spec = {
		.program = PROGRAM " sign-out",
		.version = "emberbox " EMBERBOX_VERSION,
		.summary = "Removes the token that sign-in kept. The portal is not told: the token expires there by itself.",
		.defs = defs,
		.n_defs = ARRAY_LEN(defs),
		.examples = "  emberbox client sign-out --force\n",
	};
	int rest = options_or_exit(&spec, argc, argv, &o, NULL);

	if (rest < argc) {
		fprintf(stderr, PROGRAM " sign-out: '%s' is one word too many\n", argv[rest]);
		return 2;
	}
	if (access(token_path, F_OK) && errno == ENOENT) {
		printf("There is no token in %s: nothing to do.\n", token_path);
		return 0;
	}
	if (!o.is_forced && !is_confirmed(token_path)) {
		printf("Cancelled.\n");
		return 0;
	}
	if (unlink(token_path) && errno != ENOENT) {
		fprintf(stderr, PROGRAM " sign-out: cannot remove %s: %s%s\n", token_path, strerror(errno), geteuid() ? " (run this as root)" : "");
		return 1;
	}
	printf("Signed out.\n");
	return 0;
}
