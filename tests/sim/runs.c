#include "tests/sim/runs.h"

#include "core/base/log.h"
#include "core/crypto/aead.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 200
#define SEEDS_TWICE 5

static struct world *heard; /* whose log lines carry its time */

static void write_line(void *ctx, const char *line, size_t n)
{
	(void)ctx;
	(void)fwrite(line, 1, n, stdout);
}

static u64 wall_of_heard(void *ctx)
{
	(void)ctx;
	return heard ? sim_wall(heard) : 0;
}

static void listen_to(struct world *w)
{
	const struct log_sink sink = { .write = write_line, .wall_ns = wall_of_heard };

	heard = w;
	if (getenv("RUST_LOG"))
		(void)log_setup(&sink, getenv("RUST_LOG"), NULL);
}

static u64 run(const struct sim_scenario *s, u64 seed, bool is_loud)
{
	static char line[BUFSIZ]; /* so that a first line printed meanwhile is no loss */
	(void)setvbuf(stdout, line, _IOLBF, sizeof(line));
	u64 before = s->heap_live();
	struct world *w = sim_new(seed);

	if (s->begin)
		s->begin(w);
	w->is_loud = is_loud;
	if (is_loud)
		listen_to(w);
	s->play(w);
	u64 digest = internet_digest(w->net) ^ w->digest;
	if (is_loud)
		s->tell(w, seed);
	heard = NULL;
	sim_free(w);
	if (s->heap_live() != before)
		test_fail(__FILE__, __LINE__, "seed %llu: %lld bytes are left over", (unsigned long long)seed,
			  (long long)(s->heap_live() - before));
	return digest;
}

void sim_run_all(const struct sim_scenario *s)
{
	const char *text = getenv("SIM_SEEDS");
	u64 seed, n = text ? strtoul(text, NULL, 10) : SEEDS_DEFAULT;

	REQUIRE(aead_init() == 0);
	if (test_seed(&seed)) {
		(void)run(s, seed, true);
		return;
	}
	for (seed = 0; seed < n; seed++)
		(void)run(s, seed, false);
}

void sim_run_twice(const struct sim_scenario *s)
{
	u64 seed;

	REQUIRE(aead_init() == 0);
	if (test_seed(&seed))
		TEST_SKIP("one seed was asked for");
	for (seed = 0; seed < SEEDS_TWICE; seed++)
		EXPECT_EQ(run(s, seed, false), run(s, seed, false));
}

u64 sim_draw(struct world *w, u64 bound)
{
	return rng_below(&w->rng.rng, bound);
}
