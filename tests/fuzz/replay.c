/* A main() for fuzz targets without libFuzzer: each file of the command line (or of a folder named there) is fed as it is, cut short
 * at every length, and with bits flipped at places drawn from a fixed seed.
 */
#include "core/base/rng.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_BYTES_MAX (1u << 16)
#define TRUNCATIONS_MAX 2048u
#define FLIPPED_RUNS 512u

static unsigned inputs;

/* A copy of exactly that size, so that the sanitizer sees a read of one byte too many. */
static void feed(const u8 *data, size_t n)
{
	u8 *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	inputs++;
}

static void feed_with_damage(u8 *data, size_t n)
{
	struct rng_seeded rng;

	feed(data, n);
	size_t step = n > TRUNCATIONS_MAX ? n / TRUNCATIONS_MAX : 1;
	for (size_t cut = 0; cut < n; cut += step)
		feed(data, cut);
	rng_seeded_init(&rng, n);
	for (unsigned i = 0; i < FLIPPED_RUNS && n > 0; i++) {
		size_t at = (size_t)rng_below(&rng.rng, n);
		u8 old = data[at];
		data[at] ^= (u8)(1u << rng_below(&rng.rng, 8));
		feed(data, n);
		data[at] = old;
	}
}

static void feed_file(const char *path)
{
	static u8 data[SEED_BYTES_MAX];
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		exit(1);
	}
	size_t n = fread(data, 1, sizeof(data), f);
	fclose(f);
	feed_with_damage(data, n);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		if (!dir) {
			feed_file(argv[i]);
			continue;
		}
		for (const struct dirent *e; (e = readdir(dir));) {
			char path[4096];
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (e->d_name[0] != '.')
				feed_file(path);
		}
		closedir(dir);
	}
	feed((const u8 *)"", 0);
	printf("%u inputs\n", inputs);
	return 0;
}
