/* applets/portal/cli.h: the admin verbs as a command line.
 *
 * Options and help come from the table of nouns and verbs. The request goes to the serving portal through DIR/admin.sock; when none
 * serves, this process takes the lock and runs it itself. The exit status is the reply's: 0 done, 1 not possible, 2 not understood.
 */
#pragma once

#include "applets/portal/admin/admin.h"

struct noun;

/* argv[0] is the noun. */
int cli_run(const struct noun *noun, const char *dir, int argc, char **argv);

/* Runs one request in DIR; *value (malloc) is the member `name` of the JSON object that it prints. Says on stderr what went wrong. */
int cli_ask(const char *dir, struct admin_request *rq, const char *name, char **value) MUST_CHECK;

/* By the serving portal alone. ERR_CLOSED: none serves. ERR_DENIED: not ours to ask. Nothing is reported. */
int cli_request_served(const char *dir, const struct admin_request *rq, struct admin_reply *reply) MUST_CHECK;

/* One request, by the serving portal or here; what could not even be asked is reported. Negative then. */
int cli_request(const char *dir, const struct admin_request *rq, struct admin_reply *reply);
