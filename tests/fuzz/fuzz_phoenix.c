/* Phoenix frames and messages as each end reads them; what decodes must encode, decode again and encode to the same. */
#include "core/phoenix/frame.h"
#include "core/phoenix/messages.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void again(struct msg_wire w, const struct portal_message *m)
{
	struct json_out first = JSON_OUT, second = JSON_OUT;
	struct cJSON *root = NULL;
	struct portal_message back;

	/* an optional ingest token is missing in what v1 sent, and so on: only what can be encoded must come back */
	if (msg_encode(w, m, &first, NULL) == 0) {
		if (json_parse(json_text(&first), NULL, &root) || msg_decode(w, msg_event(w, m->type), root, &back, NULL))
			abort();
		if (msg_encode(w, &back, &second, NULL) || first.len != second.len || memcmp(first.buf, second.buf, first.len) != 0)
			abort();
		msg_free(&back);
		json_free(root);
	}
	json_out_free(&first);
	json_out_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct json_limits lim = { 65536, 4096, 32 };
	struct phx_frame f;

	if (phx_frame_parse(SPAN(data, n), &lim, &f, NULL))
		return 0;
	for (enum msg_role role = MSG_ROLE_CLIENT; role <= MSG_ROLE_RELAY; role++) {
		for (enum msg_dir dir = MSG_TO_PEER; dir <= MSG_TO_PORTAL; dir++) {
			for (enum msg_version v = MSG_V1; v <= MSG_V2; v++) {
				struct msg_wire w = { role, dir, v };
				struct portal_message m;
				if (msg_decode(w, f.event, f.payload, &m, NULL))
					continue;
				again(w, &m);
				msg_free(&m);
			}
		}
	}
	phx_frame_free(&f);
	return 0;
}
