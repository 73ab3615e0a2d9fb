/* Which page answers which path: a row for each (http/router.h). */
#include "applets/portal/http/router.h"
#include "applets/portal/web/page.h"

static const struct route routes[] = {};

const struct area web_area = { AREA_WEB, routes, ARRAY_LEN(routes), page_problem };
