/* core/json/scan.h: is this text one JSON value, within limits? The gate before cJSON, which is lenient and recursive.
 */
#pragma once

#include "core/json/json.h"

/* As json_parse(). */
int json_scan(struct span text, const struct json_limits *lim) MUST_CHECK;
