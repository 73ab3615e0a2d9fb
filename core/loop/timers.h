/* core/loop/timers.h: the pairing heap under struct loop_timer. Unlike core/base/heap.h it needs no memory of its own, so setting a
 * timer of the loop cannot fail. */
#pragma once

#include "core/loop/loop.h"

void timers_insert(struct loop_timer **root, struct loop_timer *t);
void timers_remove(struct loop_timer **root, struct loop_timer *t);
