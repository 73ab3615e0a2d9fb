/* applets/common/token.h: where an applet takes its portal token from.
 *
 * A token is a secret: it is never logged, never taken from the command line by the client, and wiped by its owner with token_wipe().
 * White space around and inside it is removed (spec 10 §1.3). In all failures `why` holds a sentence for the user.
 */
#pragma once

#include "core/base/types.h"

#define TOKEN_BYTES_MAX 4096u
#define TOKEN_WHY_BYTES 512u

struct token {
	char text[TOKEN_BYTES_MAX];
};

/* Copies `text` without white space. ERR_INVAL when nothing is left, it is too long, or holds what no header value can. */
int token_from_text(struct token *t, const char *text, char why[static TOKEN_WHY_BYTES]);

/* Takes the variable and removes it from the environment. ERR_NOT_FOUND when it is absent or empty. */
int token_from_env(struct token *t, const char *variable, char why[static TOKEN_WHY_BYTES]);

/* `is_private`: must belong to root:root with no bit of 0177 set (spec 30 §19.1), links are followed.
 * ERR_NOT_FOUND, ERR_DENIED, ERR_IO, ERR_INVAL. */
int token_from_file(struct token *t, const char *path, bool is_private, char why[static TOKEN_WHY_BYTES]);

void token_wipe(struct token *t);
