#include "core/dns/doh_int.h"

#include <stdlib.h>

#define FIELDS_MAX 128u /* request line and fields but the target and the host */
static_assert(TARGET_MAX + sizeof(((struct doh *)0)->authority) + FIELDS_MAX <= PLAIN_SIZE, "a request fits");

int h1_open(struct doh *d)
{
	d->h1 = calloc(1, sizeof(*d->h1));
	if (!d->h1)
		return ERR_NOMEM;
	d->h1->turn = SLOT_NONE;
	d->h1->parser = http_parser_new(HTTP_RESPONSE, DOH_ANSWER_MAX);
	return d->h1->parser ? 0 : ERR_NOMEM;
}

void h1_free(struct doh *d)
{
	if (d->h1)
		http_parser_free(d->h1->parser);
	free(d->h1);
}

u32 h1_room(const struct doh *d)
{
	return d->h1->turn == SLOT_NONE && d->plain_n == 0;
}

int h1_send(struct doh *d, struct slot *s)
{
	char target[TARGET_MAX + 1];
	struct wr w = wr_init(d->plain, sizeof(d->plain));
	size_t n = doh_target(d, s, target);

	http_put_request(&w, "GET", SPAN(target, n));
	http_put_field(&w, "host", SPAN(d->authority, strlen(d->authority)));
	http_put_field(&w, "accept", SPAN_STR("application/dns-message"));
	http_put_end(&w);
	if (!wr_ok(&w))
		return ERR_INTERNAL;
	d->plain_n = wr_len(&w);
	d->plain_off = 0;
	d->h1->turn = (u16)(s - d->slot);
	d->h1->sent_at = d->now;
	return 0;
}

/* The connection cannot carry another answer. */
static void last_answer(struct doh *d)
{
	if (!doh_is_over(d))
		d->state = DOH_CLOSING;
	doh_refuse_waiting(d);
}

static void judge_head(struct doh *d, struct slot *s)
{
	const struct http_head *h = http_parser_head(d->h1->parser);

	s->status = h->status;
	if (h->status == 101)
		doh_end(d, ERR_MALFORMED, "resolver switches to another protocol");
	if (h->status < 200)
		return;
	for (size_t i = 0; i < h->n_fields; i++)
		if (span_eq_nocase(h->field[i].name, "content-type"))
			doh_content_type(s, h->field[i].value);
	s->error = doh_judge_head(d, s); /* its body is read out before the connection is used again */
}

static void message_done(struct doh *d, struct slot *s)
{
	const struct http_head *h = http_parser_head(d->h1->parser);
	bool keeps = h->keep_alive;

	if (h->status >= 200) {
		d->h1->turn = SLOT_NONE;
		if (s->error)
			doh_finish(d, s, s->error);
		else
			doh_complete(d, s);
		if (!keeps)
			last_answer(d);
	}
	http_parser_reset(d->h1->parser);
}

void h1_input(struct doh *d, struct span in)
{
	while (!doh_is_over(d)) {
		struct slot *s = d->h1->turn == SLOT_NONE ? NULL : &d->slot[d->h1->turn];
		struct span body;
		size_t used;
		int rc;

		if (!s) {
			if (in.n > 0)
				doh_end(d, ERR_MALFORMED, "resolver sends an answer without a question");
			return;
		}
		rc = http_parser_input(d->h1->parser, in, &used, &body);
		in = SPAN(in.p + used, in.n - used);
		if (rc == HTTP_BODY && !s->error) {
			rc = doh_append(d, s, body);
			s->error = rc;
			rc = HTTP_BODY;
		}
		switch (rc) {
		case HTTP_MORE:
			return;
		case HTTP_HEAD:
			judge_head(d, s);
			break;
		case HTTP_BODY:
			break;
		case HTTP_DONE:
			message_done(d, s);
			break;
		case ERR_LIMIT:
			if (!s->error)
				d->stats.too_long++;
			doh_finish(d, s, s->error ? s->error : ERR_LIMIT);
			doh_end(d, ERR_LIMIT, "resolver's answer is too long");
			break;
		default:
			doh_end(d, ERR_MALFORMED, "resolver breaks HTTP/1.1");
			break;
		}
	}
}

void h1_eof(struct doh *d)
{
	if (d->h1->turn == SLOT_NONE || http_parser_eof(d->h1->parser) != HTTP_DONE)
		return;
	message_done(d, &d->slot[d->h1->turn]);
}
