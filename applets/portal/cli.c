#include "applets/portal/admin/verbs.h"
#include "applets/portal/cli.h"

#include "applets/portal/state.h"
#include "applets/version.h"
#include "core/base/cursor.h"
#include "core/json/json.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TRIES 50		/* while another command holds the lock, or the portal is just starting */
#define TRY_INTERVAL_US 100000

/* ---- the socket ------------------------------------------------------------------------------------------------------------------ */

static int connect_to(const char *dir)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char path[STATE_PATH_MAX];
	int fd;

	if (!state_path(dir, "admin.sock", path) || strlen(path) >= sizeof(sa.sun_path))
		return ERR_INVAL;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_IO;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	int rc = errno == EACCES ? ERR_DENIED : ERR_CLOSED;
	close(fd);
	return rc;
}

static int read_all(int fd, void *buf, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = read(fd, (char *)buf + got, n - got);
		if (r <= 0)
			return ERR_CLOSED;
		got += (size_t)r;
	}
	return 0;
}

/* Frame: u32 length, status byte, stdout text, stderr text. */
static int exchange(int fd, const struct admin_request *rq, struct admin_reply *reply)
{
	u8 *buf = malloc(ADMIN_REQUEST_MAX), head[5], *body = NULL;
	struct wr w = wr_init(buf, buf ? ADMIN_REQUEST_MAX : 0);
	int rc = admin_encode_request(rq, &w);

	memset(reply, 0, sizeof(*reply));
	if (!rc && send(fd, buf, wr_len(&w), MSG_NOSIGNAL) != (ssize_t)wr_len(&w))
		rc = ERR_CLOSED;
	rc = rc ? rc : read_all(fd, head, sizeof(head));
	if (!rc) {
		u32 n = get_be32(head);
		body = n >= 3 && n <= ADMIN_REPLY_MAX ? malloc(n) : NULL;
		rc = body ? read_all(fd, body, n - 1) : ERR_MALFORMED;
		const u8 *end = rc ? NULL : memchr(body, 0, n - 1);
		if (end && body[n - 2] == 0) {
			reply->status = head[4];
			reply->out = strdup((char *)body);
			reply->err = strdup((const char *)end + 1);
		} else if (!rc) {
			rc = ERR_MALFORMED;
		}
		if (body)
			sodium_memzero(body, n);
		free(body);
	}
	free(buf);
	return rc;
}

/* ---- here ------------------------------------------------------------------------------------------------------------------------ */

static int run_here(const char *dir, const struct admin_request *rq, struct admin_reply *reply, char *why)
{
	struct hub_config hub = { .wants_service = NULL };
	struct state s;
	int rc = state_open(&s, dir, &hub, why);

	if (rc)
		return rc;
	admin_run(&s.portal, rq, reply);
	state_close(&s);
	return 0;
}

int cli_request_served(const char *dir, const struct admin_request *rq, struct admin_reply *reply)
{
	int fd = connect_to(dir);
	int rc = fd < 0 ? fd : exchange(fd, rq, reply);

	if (fd >= 0)
		close(fd);
	return rc;
}

int cli_request(const char *dir, const struct admin_request *rq, struct admin_reply *reply)
{
	char why[STATE_WHY_MAX] = "";
	int rc = ERR_AGAIN;

	for (int i = 0; i < TRIES && rc == ERR_AGAIN; i++) {
		int fd = connect_to(dir);

		if (fd >= 0) {
			rc = exchange(fd, rq, reply);
			close(fd);
			if (rc)
				fprintf(stderr, "emberbox portal: the portal in %s did not answer (%s); it may have done what was asked\n",
					dir, err_str(rc));
			return rc;
		}
		if (fd == ERR_DENIED) {
			fprintf(stderr, "emberbox portal: not allowed to talk to the portal in %s: run this as its user\n", dir);
			return fd;
		}
		if (i > 0)
			usleep(TRY_INTERVAL_US);
		rc = run_here(dir, rq, reply, why);
	}
	if (rc)
		fprintf(stderr, "emberbox portal: %s\n", why);
	return rc;
}

int cli_ask(const char *dir, struct admin_request *rq, const char *name, char **value)
{
	struct admin_reply reply = { .status = 1 };
	struct json_get g = JSON_GET;
	struct cJSON *root = NULL;

	rq->is_json = true;
	*value = NULL;
	int rc = cli_request(dir, rq, &reply);
	if (!rc && reply.status && reply.err)
		fputs(reply.err, stderr);
	if (!rc && !reply.status && reply.out && json_parse(SPAN(reply.out, strlen(reply.out)), NULL, &root) == 0)
		*value = strdup(json_str(&g, root, name));
	json_free(root);
	admin_reply_free(&reply);
	return rc ? rc : *value && !g.err ? 0 : ERR_STATE;
}

/* ---- options ----------------------------------------------------------------------------------------------------------------------- */

static void add_field(struct admin_request *rq, const char *name, const char *value)
{
	if (rq->n_fields < ADMIN_FIELDS_MAX)
		rq->field[rq->n_fields++] = (struct admin_field){ name, value };
}

static void fill_request(struct admin_request *rq, const struct verb *v, const struct admin_args *args)
{
	for (u32 i = 0; i < v->n_options; i++) {
		const struct opt_def *d = &v->options[i];
		const void *p = (const char *)args + d->field;

		if (d->type == OPT_FLAG) {
			if (*(const bool *)p && d->field != offsetof(struct admin_args, json))
				add_field(rq, d->name, "true");
		} else if (d->type == OPT_LIST) {
			for (size_t j = 0; j < ((const struct opt_list *)p)->n; j++)
				add_field(rq, d->name, ((const struct opt_list *)p)->item[j]);
		} else if (*(const char *const *)p) {
			add_field(rq, d->name, *(const char *const *)p);
		}
	}
}

static int run_verb(const struct noun *noun, const struct verb *v, const char *dir, int argc, char **argv)
{
	struct admin_request rq = { .noun = noun->name, .verb = v->name };
	struct admin_args args = { .dir = dir };
	struct admin_reply reply = { .status = 1 };
	struct opt_def *defs = calloc(v->n_options + 1, sizeof(*defs));
	char program[64], summary[256];
	struct opt_spec spec = {
		.program = program, .version = "emberbox " EMBERBOX_VERSION, .summary = summary, .defs = defs, .examples = v->examples,
	};

	if (!defs)
		return 1;
	memcpy(defs, v->options, v->n_options * sizeof(*defs));
	defs[v->n_options] = (struct opt_def){ "dir", 0, NULL, OPT_STR, offsetof(struct admin_args, dir), .meta = "DIR",
					       .help = "state directory of the portal" };
	spec.n_defs = v->n_options + 1;
	snprintf(program, sizeof(program), "emberbox portal %s %s", noun->name, v->name);
	snprintf(summary, sizeof(summary), "%s %s: %s", noun->name, v->name, v->help);
	int rest = options_or_exit(&spec, argc, argv, &args, NULL);
	free(defs);
	if (rest < argc) {
		fprintf(stderr, "%s: '%s' is one word too many\n", program, argv[rest]);
		return 2;
	}
	fill_request(&rq, v, &args);
	rq.is_json = args.json;
	if (cli_request(args.dir, &rq, &reply))
		return 1;
	if (reply.out)
		fputs(reply.out, stdout);
	if (reply.err)
		fputs(reply.err, stderr);
	int status = reply.status;
	admin_reply_free(&reply);
	if (fflush(stdout)) {
		fprintf(stderr, "emberbox portal: cannot print: %s\n", strerror(errno));
		return 1;
	}
	return status;
}

#define VERBS_MAX 16

int cli_run(const struct noun *noun, const char *dir, int argc, char **argv)
{
	struct opt_command commands[VERBS_MAX + 1] = { { NULL, NULL } };
	char program[64];
	const struct opt_spec spec = {
		.program = program, .version = "emberbox " EMBERBOX_VERSION, .summary = noun->help, .commands = commands,
		.examples = noun->verbs[0].examples,
	};
	const struct verb *v;

	for (u32 i = 0; i < noun->n_verbs && i < VERBS_MAX; i++)
		commands[i] = (struct opt_command){ noun->verbs[i].name, noun->verbs[i].help };
	snprintf(program, sizeof(program), "emberbox portal %s", noun->name);
	char none;
	int rest = options_or_exit(&spec, argc, argv, &none, NULL);
	if (rest >= argc && noun->n_verbs == 1)
		return run_verb(noun, &noun->verbs[0], dir, 1, (char *[]){ (char *)(uintptr_t)noun->verbs[0].name, NULL });
	if (rest >= argc) {
		fprintf(stderr, "%s: which verb? (%s --help lists them)\n", program, program);
		return 2;
	}
	v = find_verb(noun, argv[rest]);
	if (!v) {
		fprintf(stderr, "%s: there is no verb '%s' (%s --help lists them)\n", program, argv[rest], program);
		return 2;
	}
	return run_verb(noun, v, dir, argc - rest, argv + rest);
}
