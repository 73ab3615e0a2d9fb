/* Candidate texts (spec 20 §5.3): what is read and written again says the same. */
#include "core/ice/candidate.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct candidate_text t, again;
	char ufrag[ICE_UFRAG_MAX + 1], buf[CANDIDATE_STRLEN];

	if (candidate_parse(SPAN(data, size), &t) != 0)
		return 0;
	if (t.ufrag.n > ICE_UFRAG_MAX)
		return 0;
	memcpy(ufrag, t.ufrag.p ? t.ufrag.p : (const u8 *)"", t.ufrag.n);
	ufrag[t.ufrag.n] = 0;
	if (memchr(ufrag, 0, t.ufrag.n))
		return 0;
	candidate_format(&t.c, t.ufrag.n > 0 ? ufrag : NULL, buf);
	if (candidate_parse(SPAN(buf, strlen(buf)), &again) != 0 || again.c.kind != t.c.kind || again.c.priority != t.c.priority ||
	    !endpoint_eq(&again.c.addr, &t.c.addr) || !endpoint_eq(&again.c.raddr, &t.c.raddr) || again.ufrag.n != t.ufrag.n)
		abort();
	struct candidate unranked = candidate_unranked(t.c);
	if (candidate_is_usable(&t.c) != candidate_is_usable(&unranked))
		abort();
	return 0;
}
