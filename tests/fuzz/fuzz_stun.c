/* One STUN message or ChannelData: every accessor, both sums, and what was parsed must be walkable without leaving it. */
#include "core/base/err.h"
#include "core/stun/channel.h"
#include "core/stun/stun.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void read_everything(const struct stun_msg *m)
{
	struct stun_iter it = { 0 };
	struct span s;
	struct endpoint e;
	u64 v64;
	u32 v32;
	u16 v16;
	u8 v8;
	size_t count = 0;

	while (stun_next(m, &it)) {
		if (it.value.n > 0 && (it.value.p < m->raw || it.value.p + it.value.n > m->raw + m->len))
			abort();
		if (++count > STUN_ATTRS_MAX)
			abort();
		enum stun_attr type = (enum stun_attr)it.type;
		(void)stun_decode_address(m, &it, &e);
		if (stun_get(m, type, &s) != 0)
			abort(); /* what the walk shows must be found */
		(void)stun_get_u32(m, type, &v32);
		(void)stun_get_u64(m, type, &v64);
		(void)stun_get_text(m, type, &s);
		(void)stun_get_address(m, type, &e);
		(void)stun_get_family(m, type, &v8);
	}
	(void)stun_get_channel(m, &v16);
	(void)stun_get_transport(m, &v8);
	(void)stun_get_error(m, &v16, &s);
	(void)stun_check_integrity(m, SPAN_STR("key"));
	(void)stun_check_fingerprint(m);
}

/* The same attributes written anew and signed must be read back as they were. */
static void write_again(const struct stun_msg *m)
{
	u8 buf[STUN_MAX_MESSAGE];
	struct stun_builder b;
	struct stun_msg again;
	struct stun_iter it = { 0 }, it2 = { 0 };

	stun_begin(&b, buf, sizeof(buf), m->class, m->method, m->txid);
	while (stun_next(m, &it) && it.type != ATTR_MESSAGE_INTEGRITY)
		stun_put(&b, (enum stun_attr)it.type, it.value);
	stun_put_integrity(&b, SPAN_STR("key"));
	stun_put_fingerprint(&b);
	int n = stun_end(&b);
	if (n < 0)
		return; /* signed it is too long, or one attribute too many */
	int rc = stun_parse(SPAN(buf, n), &again);
	if (rc == ERR_MALFORMED)
		return;
	if (rc != 0 || again.method != m->method || again.class != m->class)
		abort();
	if (stun_check_integrity(&again, SPAN_STR("key")) != 0 || stun_check_fingerprint(&again) != 0)
		abort();
	it = (struct stun_iter){ 0 };
	while (stun_next(m, &it) && it.type != ATTR_MESSAGE_INTEGRITY) {
		if (!stun_next(&again, &it2) || it2.type != it.type || it2.value.n != it.value.n ||
		    (it.value.n > 0 && memcmp(it.value.p, it2.value.p, it.value.n) != 0))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stun_msg m;
	struct span payload;
	u16 number;

	if (channel_parse(SPAN(data, size), &number, &payload) == 0 && payload.n + CHANNEL_HEADER != size)
		abort();
	if (stun_parse(SPAN(data, size), &m) != 0)
		return 0;
	read_everything(&m);
	write_again(&m);
	return 0;
}
