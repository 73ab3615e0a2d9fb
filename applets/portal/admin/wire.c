#include "applets/portal/admin/admin.h"
#include "core/base/cursor.h"

static void put_string(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s) + 1);
}

int admin_encode_request(const struct admin_request *rq, struct wr *w)
{
	u8 *length = wr_reserve(w, 4);
	size_t start = wr_len(w);

	put_string(w, rq->is_json ? "1" : "0");
	put_string(w, rq->noun);
	put_string(w, rq->verb);
	for (u32 i = 0; i < rq->n_fields; i++) {
		put_string(w, rq->field[i].name);
		put_string(w, rq->field[i].value);
	}
	if (!wr_ok(w))
		return ERR_LIMIT;
	put_be32(length, (u32)(wr_len(w) - start));
	return 0;
}

/* NULL when there is no NUL left. */
static const char *take_string(struct rd *r)
{
	const u8 *end = rd_left(r) ? memchr(r->p, 0, rd_left(r)) : NULL;

	if (!end) {
		r->failed = true;
		return NULL;
	}
	return (const char *)rd_take(r, (size_t)(end - r->p) + 1);
}

int admin_decode_request(struct span body, struct admin_request *rq)
{
	struct rd r = rd_span(body);
	const char *json = take_string(&r);

	memset(rq, 0, sizeof(*rq));
	rq->noun = take_string(&r);
	rq->verb = take_string(&r);
	if (!rd_ok(&r))
		return ERR_MALFORMED;
	rq->is_json = strcmp(json, "1") == 0;
	while (rd_left(&r) > 0) {
		if (rq->n_fields == ADMIN_FIELDS_MAX)
			return ERR_LIMIT;
		rq->field[rq->n_fields].name = take_string(&r);
		rq->field[rq->n_fields].value = take_string(&r);
		if (!rd_ok(&r))
			return ERR_MALFORMED;
		rq->n_fields++;
	}
	return 0;
}
