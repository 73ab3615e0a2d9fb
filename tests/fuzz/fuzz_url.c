/* URLs, form bodies, dates and durations. */
#include "applets/common/options.h"
#include "core/http/http.h"
#include "core/http/url.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = SPAN(data, n), query = in, name, value;
	char out[256], text[64];
	struct url u;
	u64 t;
	bool b;

	if (url_parse(in, &u) == 0 && (u.host.n == 0 || u.host.n > HOST_MAX || u.path.n + u.query.n > n))
		abort();
	while (form_next(&query, &name, &value))
		if (form_decode(value, out, sizeof(out), NULL) == 0 && strlen(out) >= sizeof(out))
			abort();
	if (http_date_parse(in, &t) == 0 && t > 253402300800ull + 2 * 86400) /* year 9999 and any zone */
		abort();
	memcpy(text, data, MIN(n, sizeof(text) - 1));
	text[MIN(n, sizeof(text) - 1)] = 0;
	int rc = options_duration(text, &t);
	rc |= options_bool(text, &b);
	return rc > 0;
}
