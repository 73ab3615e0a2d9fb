/* applets/portal/admin/table.h: how rows of the table of verbs are written; the rows of ways to sign in, directories, mail and audit. */
#pragma once

#include "applets/portal/admin/verbs.h"

#define A(f) offsetof(struct admin_args, f)
#define ACCOUNT { "account", 0, "EMBERBOX_ACCOUNT", OPT_STR, A(account), .meta = "SLUG", .help = "which account; needless while there is only one" }
#define JSON { "json", 0, NULL, OPT_FLAG, A(json), .help = "print JSON" }
#define TARGET(what) { "target", 0, NULL, OPT_STR, A(target), .meta = what, .help = "id or name", .flags = OPT_POSITIONAL | OPT_REQUIRED }
#define TEXT(option, member, what, text) { option, 0, NULL, OPT_STR, A(member), .meta = what, .help = text }
#define NEEDED(option, member, what, text) { option, 0, NULL, OPT_STR, A(member), .meta = what, .help = text, .flags = OPT_REQUIRED }

#define VERB(word, text, f, list, ex) { word, text, f, list, ARRAY_LEN(list), ex, 0 }
#define READS(word, text, f, list, ex) { word, text, f, list, ARRAY_LEN(list), ex, VERB_READS }
#define OPERATORS(word, text, f, list, ex) { word, text, f, list, ARRAY_LEN(list), ex, VERB_OPERATORS }

extern const struct verb v_provider[9];
extern const struct verb v_identity[3];
extern const struct verb v_session[3];
extern const struct verb v_credential[4];
extern const struct verb v_link[3];
extern const struct verb v_api_client[7];
extern const struct verb v_api_token[3];
extern const struct verb v_directory[8];
extern const struct verb v_mail[3];
extern const struct verb v_audit[2];
