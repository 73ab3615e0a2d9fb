/* The replay window against a naive model. */
#include "core/wg/session.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

/* Remembers every counter below its size and nothing clever. */
struct naive {
	u8 *seen;
	u64 newest;
	bool is_empty;
};

#define NAIVE_SIZE (1u << 20)

static bool naive_accept(struct naive *n, u64 counter)
{
	if (!n->is_empty && counter < n->newest && n->newest - counter >= WG_WINDOW)
		return false;
	if (n->seen[counter])
		return false;
	n->seen[counter] = 1;
	if (n->is_empty || counter > n->newest)
		n->newest = counter;
	n->is_empty = false;
	return true;
}

/* Each step jumps somewhere near an edge that matters: newest, the far end of the window, words, beyond the ring. */
static u64 pick(struct rng *rng, const struct naive *n)
{
	u64 newest = n->is_empty ? 0 : n->newest;
	u64 near = rng_below(rng, 130);
	switch (rng_below(rng, 8)) {
	case 0: return rng_below(rng, newest + 1);
	case 1: return newest + 1;
	case 2: return newest + near;
	case 3: return newest >= near ? newest - near : 0;
	case 4: return newest >= WG_WINDOW + 64 ? newest - WG_WINDOW - 64 + near : near;
	case 5: return newest + WG_WINDOW - 64 + near;
	case 6: return newest + WG_WINDOW * 2 + near;
	default: return newest - newest % 64 + near;
	}
}

TEST(window_equals_the_naive_model)
{
	struct rng_seeded r;
	struct naive n = { malloc(NAIVE_SIZE), 0, true };
	struct wg_window win;
	REQUIRE(n.seen != NULL);
	for (unsigned seed = 0; seed < 200; seed++) {
		rng_seeded_init(&r, seed);
		memset(n.seen, 0, NAIVE_SIZE);
		memset(&win, 0, sizeof(win));
		n.newest = 0;
		n.is_empty = true;
		for (unsigned i = 0; i < 3000; i++) {
			u64 counter = pick(&r.rng, &n);
			if (counter >= NAIVE_SIZE)
				break;
			if (!EXPECT_EQ(wg_window_accept(&win, counter), naive_accept(&n, counter))) {
				EXPECT_EQ(seed, i);
				goto out;
			}
		}
	}
out:
	free(n.seen);
}

TEST(window_is_exactly_8192_wide)
{
	static struct wg_window win;
	memset(&win, 0, sizeof(win));
	EXPECT(wg_window_accept(&win, 8192));
	EXPECT(wg_window_accept(&win, 1));
	EXPECT(!wg_window_accept(&win, 0));
	EXPECT(wg_window_accept(&win, 8193));
	EXPECT(!wg_window_accept(&win, 1));
	EXPECT(wg_window_accept(&win, 2));
}

TEST(window_survives_the_end_of_all_counters)
{
	static struct wg_window win;
	memset(&win, 0, sizeof(win));
	EXPECT(wg_window_accept(&win, 0));
	EXPECT(!wg_window_accept(&win, 0));
	EXPECT(wg_window_accept(&win, WG_REJECT_AFTER_MESSAGES - 1));
	EXPECT(!wg_window_accept(&win, WG_REJECT_AFTER_MESSAGES - 1));
	EXPECT(!wg_window_accept(&win, WG_REJECT_AFTER_MESSAGES));
	EXPECT(!wg_window_accept(&win, UINT64_MAX));
	EXPECT(!wg_window_accept(&win, 1));
	EXPECT(wg_window_accept(&win, WG_REJECT_AFTER_MESSAGES - 2));
}
