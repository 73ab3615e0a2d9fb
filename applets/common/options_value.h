/* applets/common/options_value.h: texts to typed values of options; private to options*.c.
 */
#pragma once

#include "applets/common/options.h"

/* Stores `text` into the field of `def`, or only checks it (config NULL). ERR_INVAL, and `expected` says what would have been fine. */
int opt_store(const struct opt_def *def, const char *text, void *config, char *expected, size_t cap) MUST_CHECK;
/* What --help calls the value; "" for flags. */
const char *opt_meta(const struct opt_def *def, char *buf, size_t cap);
