/* Which function of the REST API answers which path: a row for each (http/router.h). */
#include "applets/portal/http/router.h"

static const struct route routes[] = {};

const struct area api_area = { AREA_API, routes, ARRAY_LEN(routes), problem_json };
