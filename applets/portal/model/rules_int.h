/* applets/portal/model/rules_int.h: what rules of all things are made of. */
#pragma once

#include "applets/portal/model/rules.h"

/* Trims; plain UTF-8 without control characters of min to max characters. NULL is fine when min is 0. */
int check_text(const char *field, char *s, int min, int max, struct complaint *c);
/* An optional text of nothing but spaces is null. */
void null_if_empty(char **s);
int check_email(const char *field, char **email, struct complaint *c);
