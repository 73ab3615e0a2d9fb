/* tests/sim/runs.h: one scenario from many seeds. SIM_SEEDS says from how many; `--seed N` replays one, aloud, with log lines that carry the
 * simulation's time when RUST_LOG is set. A run must give back all memory it took; the same seed must end in the same digest. */
#pragma once

#include "tests/sim/world.h"

struct sim_scenario {
	void (*begin)(struct world *w);          /* NULL: the world as it is made */
	void (*play)(struct world *w);
	void (*tell)(struct world *w, u64 seed); /* of the one that is replayed */
	u64 (*heap_live)(void);                  /* tests/sim/counting_heap.h, which counts in the program that includes it */
};

void sim_run_all(const struct sim_scenario *s);
void sim_run_twice(const struct sim_scenario *s);

u64 sim_draw(struct world *w, u64 bound);
