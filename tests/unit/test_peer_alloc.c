/* The packet path of a node allocates nothing: this program's own malloc counts. */
#include "tests/unit/peer_world.h"
#include "tests/unit/test.h"

#include <stdalign.h>
#include <string.h>

#ifndef __SANITIZE_ADDRESS__

#include <errno.h>
#include <stdlib.h>

static volatile bool is_counting; /* the compiler knows malloc as one that reads no variable of ours */
static volatile unsigned long n_calls;

#define ARENA_BYTES (256u << 20)
#define HEAD 16u
#define CLASSES 28u

static alignas(16) unsigned char arena[ARENA_BYTES];
static size_t arena_used;
static void *free_lists[CLASSES];

static unsigned class_of(size_t n)
{
	unsigned c = 5;

	while (((size_t)1 << c) < n + HEAD)
		c++;
	return c;
}

void *malloc(size_t n)
{
	unsigned c = class_of(n);
	unsigned char *p;

	if (is_counting)
		n_calls = n_calls + 1;
	if (n > ARENA_BYTES || c >= CLASSES)
		return NULL;
	if (free_lists[c]) {
		p = free_lists[c];
		memcpy(&free_lists[c], p + HEAD, sizeof(void *));
		return p + HEAD;
	}
	if (arena_used + ((size_t)1 << c) > ARENA_BYTES)
		return NULL;
	p = arena + arena_used;
	arena_used += (size_t)1 << c;
	*p = (unsigned char)c;
	return p + HEAD;
}

void free(void *ptr)
{
	if (!ptr)
		return;
	if (is_counting)
		n_calls = n_calls + 1;
	unsigned char *p = (unsigned char *)ptr - HEAD;
	memcpy(p + HEAD, &free_lists[*p], sizeof(void *));
	free_lists[*p] = p;
}

void *calloc(size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	void *p = malloc(n * size);
	return p ? memset(p, 0, n * size) : NULL;
}

void *realloc(void *old, size_t n)
{
	if (!old)
		return malloc(n);
	size_t had = ((size_t)1 << ((unsigned char *)old)[-(int)HEAD]) - HEAD;
	if (n <= had)
		return old;
	void *p = malloc(n);
	if (p) {
		memcpy(p, old, had);
		free(old);
	}
	return p;
}

void *aligned_alloc(size_t align, size_t n)
{
	return align <= 16 ? malloc(n) : NULL;
}

void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
	return aligned_alloc(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	*out = aligned_alloc(align, n);
	return *out ? 0 : ENOMEM;
}

size_t malloc_usable_size(void *p);
size_t malloc_usable_size(void *p)
{
	return ((size_t)1 << ((unsigned char *)p)[-(int)HEAD]) - HEAD;
}

#define COUNTED(call)                \
	do {                         \
		is_counting = true;  \
		call;                \
		is_counting = false; \
	} while (0)

#define WALL SEC(1700000000)

static u8 wire[128 * 1024];

/* Everything that `from` has to send and that goes to `to` directly, delivered. */
static void shuttle(struct pw *w, struct pw_host *from, struct pw_host *to, u64 *packets)
{
	struct udp_tx tx;
	size_t n;
	bool more;

	for (;;) {
		COUNTED(more = node_poll_transmit(from->node, &tx));
		if (!more)
			break;
		if (!endpoint_eq(&tx.dst, &to->v4))
			continue;
		memcpy(wire, tx.data, tx.len);
		struct udp_rx rx = { to->v4, from->v4, wire, tx.len, tx.seg, tx.ecn };
		COUNTED(node_input(to->node, w->now, w->now + WALL, &rx, 1));
		(void)node_inner(to->node, &n);
		*packets += n;
	}
}

static void stage(struct pw *w, struct pw_host *from, struct pw_host *to, u32 len, unsigned count)
{
	struct node_stage st;
	u8 *p;

	COUNTED(EXPECT_EQ(node_stage_open(from->node, w->now, &to->id, 0, &st), 0));
	for (unsigned i = 0; i < count; i++) {
		COUNTED(p = node_stage_slot(from->node, &st, len));
		if (p)
			memset(p, (int)i, len);
	}
	COUNTED(node_flush(from->node, w->now));
}

TEST(no_allocation_on_the_packet_path_nor_in_steady_checks)
{
	struct pw *w = pw_new(1);
	struct pw_host *a, *b;
	u64 at_a = 0, at_b = 0;

	pw_relay(w, "198.51.100.1", NULL);
	a = pw_host(w, NODE_CLIENT, "10.0.0.2:52625", PW_NAT_NONE, NULL);
	b = pw_host(w, NODE_GATEWAY, "10.0.1.2:52625", PW_NAT_NONE, NULL);
	pw_join(w, a);
	pw_join(w, b);
	pw_run(w, MSEC(100));
	pw_authorize(w, a, b);
	(void)pw_send(w, a, b, 100);
	pw_run(w, SEC(5));
	REQUIRE(b->rx_packets == 1);

	for (unsigned i = 0; i < 400; i++) {
		stage(w, a, b, 1280, 40);
		shuttle(w, a, b, &at_b);
		stage(w, b, a, 80, 7);
		shuttle(w, b, a, &at_a);
		w->now += MSEC(10);
		COUNTED(node_timeout(a->node, w->now, w->now + WALL));
		COUNTED(node_timeout(b->node, w->now, w->now + WALL));
		shuttle(w, a, b, &at_b);
		shuttle(w, b, a, &at_a);
	}
	EXPECT_EQ(at_b, 400 * 40);
	EXPECT_EQ(at_a, 400 * 7);
	EXPECT_EQ(n_calls, 0);
	pw_free(w);
}

TEST(the_count_counts)
{
	void *volatile p;

	n_calls = 0;
	COUNTED(p = malloc(10));
	COUNTED(free(p));
	EXPECT_EQ(n_calls, 2);
}

#else

TEST(no_allocation_on_the_packet_path_nor_in_steady_checks)
{
	TEST_SKIP("the sanitizer owns malloc");
}

#endif
