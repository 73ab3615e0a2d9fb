/* WebSocket frames, as a client and as a server reads them. */
#include "core/http/websocket.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ws_limits lim = { 4096, 8192 };
	struct rng_seeded rng;

	rng_seeded_init(&rng, 1);
	for (enum ws_role role = WS_CLIENT; role <= WS_SERVER; role++) {
		struct ws *ws = ws_new(role, &lim, &rng.rng);
		struct span in = SPAN(data, n);
		struct ws_event ev;
		size_t used;
		while (ws && in.n > 0 && ws_input(ws, in, &used, &ev) == 0) {
			if (ev.data.n > lim.message)
				abort();
			in = SPAN(in.p + used, in.n - used);
			ws_output_done(ws, ws_output(ws).n / 2);
		}
		ws_free(ws);
	}
	return 0;
}
