/* applets/portal/cli.h: the admin verbs as a command line.
 *
 * Options and help come from the table of nouns and verbs. The request goes to the serving portal through DIR/admin.sock; when none
 * serves, this process takes the lock and runs it itself. The exit status is the reply's: 0 done, 1 not possible, 2 not understood.
 */
#pragma once

struct noun;

/* argv[0] is the noun. */
int cli_run(const struct noun *noun, const char *dir, int argc, char **argv);
