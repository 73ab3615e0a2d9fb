#include "core/tunnel/tun_queue.h"

#include <stdlib.h>

struct tun_queue_slot {
	u32 len;
	u8 data[TUN_HEADROOM + TUNNEL_MTU];
};

int tun_queue_init(struct tun_queue *q, u32 limit)
{
	*q = (struct tun_queue){ .limit = limit };
	q->slots = calloc(limit, sizeof(*q->slots));
	return q->slots ? 0 : ERR_NOMEM;
}

void tun_queue_deinit(struct tun_queue *q)
{
	free(q->slots);
	*q = (struct tun_queue){ 0 };
}

u8 *tun_queue_slot(struct tun_queue *q)
{
	return q->count == q->limit ? NULL : q->slots[(q->first + q->count) % q->limit].data + TUN_HEADROOM;
}

void tun_queue_push(struct tun_queue *q, u32 len)
{
	q->slots[(q->first + q->count++) % q->limit].len = len;
}

bool tun_queue_poll(struct tun_queue *q, struct tun_pkt *out)
{
	if (q->is_lent) {
		q->first = (q->first + 1) % q->limit;
		q->count--;
		q->is_lent = false;
	}
	if (q->count == 0) {
		q->first = 0;
		return false;
	}
	struct tun_queue_slot *s = &q->slots[q->first];
	*out = (struct tun_pkt){ .data = s->data + TUN_HEADROOM, .len = s->len, .has_headroom = true };
	q->is_lent = true;
	return true;
}
