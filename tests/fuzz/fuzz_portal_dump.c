/* Dumps of another portal's database, and everything that an import reads out of them. */
#include "applets/portal/transfer/transfer.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct json_out out = JSON_OUT;
	char why[TRANSFER_WHY_MAX] = "";
	struct cJSON *root = NULL;

	/* what was understood is JSON, whatever was in it */
	if (dump_read(SPAN(data, n), NULL, &out, why) == 0 && json_parse(json_text(&out), NULL, &root) == ERR_MALFORMED)
		abort();
	json_free(root);
	json_out_free(&out);
	return 0;
}
