/* applets/portal/transfer/transfer_int.h: reading the object that transfer.h describes, without doing anything yet. */
#pragma once

#include "applets/portal/transfer/transfer.h"

/* A member that is text and not empty; NULL. */
const char *transfer_text(const struct cJSON *row, const char *key);

/* Filters and conditions as the model writes them. NULL: cannot be read. The caller frees. */
char *transfer_filters(const struct cJSON *v);
char *transfer_conditions(const struct cJSON *v);

/* Whether every element can be read: ERR_MALFORMED with the first that cannot. What depends on what is here (names that are taken, sites that are
 * missing) is found when it is done, or in a dry run. */
int transfer_check(const struct cJSON *root, char why[static TRANSFER_WHY_MAX]) MUST_CHECK;
