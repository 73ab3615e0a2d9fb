/* applets/portal/transfer/transfer.h: export, import, backup and restore of a portal (commands `portal export`, `import`, `backup`, `restore`).
 *
 *   our export ───────────┐
 *   pg_dump (COPY) ───────┼──▶ one JSON object ──▶ import_run(): looks up, adds what is missing through actions, links what belongs together
 *   Firezone REST API ────┘
 *
 * The object has the members "actors", "groups", "memberships" {group_id, actor_id}, "sites", "resources", "policies", each a list (absent: empty).
 * Ids only tie its parts together; things are recognised by what people call them: actors by e-mail address (or name), groups and sites by name,
 * resources by name, address and site, policies by group and resource. So an import can be repeated; what is there is kept as it is. Of a text
 * with an element that cannot be read nothing is imported.
 * Filters and conditions may be written as the model does (rules.h) or as the REST API does.
 */
#pragma once

#include "core/base/err.h"
#include "core/json/json.h"

#define TRANSFER_FORMAT "emberbox-portal"
#define TRANSFER_VERSION 1u
#define TRANSFER_BYTES_MAX (64u * 1024u * 1024u)
#define TRANSFER_WHY_MAX 400u

/* The account, or the only one, as JSON on stdout. Exit status. */
int export_run(const char *dir, const char *account);

struct import_options {
	const char *dir, *account;
	const char *default_site; /* for resources that do not say where they are; NULL: those are not imported */
	bool is_dry_run, is_from_api; /* is_from_api: a policy that does not say its conditions is imported disabled */
};
/* Whether it is such an object, and of a version that is known. ERR_INVAL, with the reason. */
int import_check(const struct cJSON *root, char why[static TRANSFER_WHY_MAX]) MUST_CHECK;
/* Prints what it does. A dry run does all of it to a copy of the database (rehearsal.h), so that it meets what the import would meet. Exit status. */
int import_run(const struct cJSON *root, const struct import_options *o);

/* The file, whole (caller frees). */
int transfer_read_file(const char *path, char **text, size_t *n, char why[static TRANSFER_WHY_MAX]) MUST_CHECK;

/* A plain-text pg_dump to that object. `account`: id or slug in the dump; NULL: the only one. ERR_MALFORMED, ERR_NOT_FOUND, ERR_INVAL. */
int dump_read(struct span text, const char *account, struct json_out *out, char why[static TRANSFER_WHY_MAX]) MUST_CHECK;

/* Everything a Firezone REST API tells, page after page. */
int firezone_api_read(const char *url, const char *token, struct json_out *out, char why[static TRANSFER_WHY_MAX]) MUST_CHECK;

/* Exit status; of a backup that is made nothing is said. Backup works while the portal serves; restore does not, checks the file first and keeps the former one beside it. */
int backup_run(const char *dir, const char *file);
int restore_run(const char *dir, const char *file);
