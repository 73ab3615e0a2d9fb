#include "applets/quickstart/setup.h"

#include "core/base/encode.h"
#include "core/base/rng.h"
#include "core/json/json.h"
#include "platform/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 8192
#define COMMAND_ARGS_MAX 20

static int fail(const char *what, const char *path)
{
	fprintf(stderr, "emberbox quickstart: %s %s: %s\n", what, path, strerror(errno));
	return ERR_IO;
}

/* ---- running `emberbox portal …` ---------------------------------------------------------------------------------------------- */

/* Its standard output; standard error goes where ours goes, or nowhere. ERR_STATE: it ended with another status than 0. */
static int run(const char *program, const char *const *argv, char out[static OUTPUT_MAX], bool is_quiet)
{
	int pipe_fd[2], status;
	size_t len = 0;
	ssize_t r;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return fail("cannot make a pipe for", program);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		int nowhere = is_quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
		if (nowhere >= 0)
			dup2(nowhere, STDERR_FILENO);
		unsetenv("EMBERBOX_ACCOUNT");
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pipe_fd[1]);
	if (pid < 0) {
		close(pipe_fd[0]);
		return fail("cannot run", program);
	}
	while (len < OUTPUT_MAX - 1 && (r = read(pipe_fd[0], out + len, OUTPUT_MAX - 1 - len)) > 0)
		len += (size_t)r;
	out[len] = '\0';
	close(pipe_fd[0]);
	return waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) ? ERR_STATE : 0;
}

static int run_portal(const char *program, const char *dir, char out[static OUTPUT_MAX], ...)
{
	const char *argv[COMMAND_ARGS_MAX + 5] = { "emberbox", "portal", "--dir", dir };
	va_list ap;
	int n = 4;

	va_start(ap, out);
	while (n < COMMAND_ARGS_MAX + 4 && (argv[n] = va_arg(ap, const char *)))
		n++;
	va_end(ap);
	int rc = run(program, argv, out, false);
	if (rc == ERR_STATE)
		fprintf(stderr, "emberbox quickstart: `emberbox portal %s %s` failed\n", argv[4], argv[5] ? argv[5] : "");
	return rc;
}

static int read_member(const char *json, const char *name, char out[static SETUP_TOKEN_MAX])
{
	struct json_get g = JSON_GET;
	struct cJSON *root;
	int rc = json_parse(SPAN(json, strlen(json)), NULL, &root);

	if (rc)
		return rc;
	const char *token = json_str(&g, root, name);
	rc = g.err ? g.err : strlen(token) < SETUP_TOKEN_MAX ? 0 : ERR_LIMIT;
	if (!rc)
		memcpy(out, token, strlen(token) + 1);
	json_free(root);
	return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

static void path_of(char out[static SETUP_PATH_MAX], const char *dir, const char *name)
{
	snprintf(out, SETUP_PATH_MAX, "%.*s/%s", SETUP_DIR_MAX + 8, dir, name);
}

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[SETUP_PATH_MAX];
	int rc = 0;

	path_of(path, dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail("cannot write", path);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd))
		rc = fail("cannot write", path);
	close(fd);
	return rc;
}

static int read_file(const char *dir, const char *name, char *out, size_t cap)
{
	char path[SETUP_PATH_MAX];

	path_of(path, dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);
	int rc = n < 0 ? fail("cannot read", path) : 0;
	if (fd >= 0)
		close(fd);
	out[MAX(n, (ssize_t)0)] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int make_parents(const char *dir)
{
	char path[SETUP_PATH_MAX];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return fail("cannot make the directory", path);
		*p = '/';
	}
	return 0;
}

/* ---- the first start --------------------------------------------------------------------------------------------------------------- */

static int make_token(const char *program, const char *portal, const char *dir, const char *file, const char *option, const char *value)
{
	char out[OUTPUT_MAX], token[SETUP_TOKEN_MAX];
	int rc = run_portal(program, portal, out, "token", "add", "--name", "quickstart", "--json", option, value, NULL);

	rc = rc ? rc : read_member(out, "token", token);
	rc = rc ? rc : write_file(dir, file, token);
	sodium_memzero(out, sizeof(out));
	sodium_memzero(token, sizeof(token));
	return rc;
}

static int fill(const char *program, const char *dir)
{
	char portal[SETUP_PATH_MAX], out[OUTPUT_MAX], id[HEX_SIZE(32)];
	u8 random[32];
	int rc;

	path_of(portal, dir, "portal");
	rc = run_portal(program, portal, out, "init", NULL);
	rc = rc ? rc : run_portal(program, portal, out, "account", "add", "--name", "Quickstart", NULL);
	rc = rc ? rc : run_portal(program, portal, out, "site", "update", "Default Site", "--name", SETUP_SITE, NULL);
	rc = rc ? rc : run_portal(program, portal, out, "group", "add", "--name", SETUP_GROUP, NULL);
	rc = rc ? rc : run_portal(program, portal, out, "actor", "add", "--type", "service-account", "--name", SETUP_ACTOR, NULL);
	rc = rc ? rc : run_portal(program, portal, out, "member", "add", "--group", SETUP_GROUP, "--actor", SETUP_ACTOR, NULL);
	rc = rc ? rc : make_token(program, portal, dir, "gateway.token", "--site", SETUP_SITE);
	rc = rc ? rc : make_token(program, portal, dir, "client.token", "--actor", SETUP_ACTOR);
	rc = rc ? rc : make_token(program, portal, dir, "relay.token", "--relay", NULL);
	rng_fill(sys_rng(), random, sizeof(random));
	hex_encode(id, sizeof(id), SPAN(random, sizeof(random)));
	return rc ? rc : write_file(dir, "gateway.id", id);
}

/* As long as there is no admin, each start has a link for the first one; afterwards the command refuses. */
static void make_first_link(struct setup *s, const char *program)
{
	const char *argv[] = { "emberbox", "portal", "--dir", s->portal_dir, "link", "add", "--purpose", "setup", "--json", NULL };
	char out[OUTPUT_MAX], url[SETUP_TOKEN_MAX];

	if (run(program, argv, out, true) == 0 && read_member(out, "url", url) == 0)
		snprintf(s->first_link, sizeof(s->first_link), "%s", url[0] == '/' ? url + 1 : url);
	sodium_memzero(out, sizeof(out));
	sodium_memzero(url, sizeof(url));
}

static int make(const char *program, const char *dir)
{
	char draft[SETUP_PATH_MAX];
	int rc = make_parents(dir);

	snprintf(draft, sizeof(draft), "%s.new", dir);
	remove_tree(draft);
	if (!rc && mkdir(draft, 0700))
		rc = fail("cannot make the directory", draft);
	rc = rc ? rc : fill(program, draft);
	if (!rc && rename(draft, dir))
		rc = fail("cannot make the directory", dir);
	if (rc)
		remove_tree(draft);
	return rc;
}

int setup_load(struct setup *s, const char *program, const char *dir)
{
	int rc = 0;

	memset(s, 0, sizeof(*s));
	if (strlen(dir) >= sizeof(s->dir)) {
		fprintf(stderr, "emberbox quickstart: --dir: longer than %zu characters\n", sizeof(s->dir) - 1);
		return ERR_INVAL;
	}
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	while (strlen(s->dir) > 1 && s->dir[strlen(s->dir) - 1] == '/')
		s->dir[strlen(s->dir) - 1] = '\0';
	umask(0077);
	path_of(s->portal_dir, s->dir, "portal");
	if (access(s->portal_dir, F_OK)) {
		if (rmdir(s->dir) && errno != ENOENT) /* an empty one may be there; another stays untouched */
			return fail("there is no quickstart in, and it cannot be made in", s->dir);
		rc = make(program, s->dir);
		s->is_new = true;
	}
	if (!rc)
		make_first_link(s, program);
	rc = rc ? rc : read_file(s->dir, "gateway.token", s->gateway_token, sizeof(s->gateway_token));
	rc = rc ? rc : read_file(s->dir, "relay.token", s->relay_token, sizeof(s->relay_token));
	rc = rc ? rc : read_file(s->dir, "client.token", s->client_token, sizeof(s->client_token));
	return rc ? rc : read_file(s->dir, "gateway.id", s->gateway_id, sizeof(s->gateway_id));
}
