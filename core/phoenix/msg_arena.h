/* core/phoenix/msg_arena.h: memory of one decoded message, released as a whole; private to messages*.c.
 */
#pragma once

#include "core/phoenix/messages.h"

/* Zeroed room for `count` things of `size` bytes, aligned for anything; NULL: out of memory. *a starts as NULL. */
void *msg_alloc(struct msg_arena **a, size_t count, size_t size);
void msg_arena_free(struct msg_arena *a);

/* The message an event names on this wire. ERR_NOT_FOUND. */
int msg_type_of(struct msg_wire w, const char *event, enum msg_type *out) MUST_CHECK;
