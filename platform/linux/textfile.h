/* platform/linux/textfile.h: small configuration files: read whole, replaced atomically, or rewritten in place.
 *
 * Only regular files; symbolic links are never followed in the last part of the path. Errors: ERR_NOT_FOUND, ERR_STATE (a symbolic link or not
 * a regular file), ERR_LIMIT (longer than max), ERR_DENIED, ERR_IO (errno says more), ERR_NOMEM.
 */
#pragma once

#include "core/base/types.h"

struct textfile {
	char *text; /* NUL terminated; NULL: nothing read */
	size_t n;
	unsigned mode; /* permission bits */
};

/* Any kind of readable file when `follow`. */
int textfile_read(struct textfile *out, const char *path, size_t max, bool follow) MUST_CHECK;
void textfile_free(struct textfile *f);

/* A temporary file beside it, fsync, rename, fsync of the folder: after a crash either all of the old or all of the new is there. */
int textfile_replace(const char *path, struct span text, unsigned mode) MUST_CHECK;
/* The same inode gets the text; synced. Killed in the middle, a process leaves: with `shrinks_first` a beginning of the old text, else
 * the new text with a tail of the old one. */
int textfile_rewrite(const char *path, struct span text, bool shrinks_first) MUST_CHECK;
