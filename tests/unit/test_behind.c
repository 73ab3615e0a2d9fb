/* Writing behind: what a power cut, a kill and a full disk leave of a database whose commits waited for nothing.
 *
 * This file has its own pwrite(), fdatasync() and ftruncate(), which SQLite and the thread call: they note what is done to the files, in order.
 * From the notes every state is made that a power cut could have left: all that was synced, and any part of what was not.
 */
#include "applets/portal/store/store_int.h"
#include "core/base/rng.h"
#include "platform/sys.h"
#include "tests/unit/store_world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- what is done to the files --------------------------------------------------------------------------------------------------------- */

enum what { DID_WRITE, DID_SYNC, DID_TRUNCATE };
enum which { NOT_OURS = -1, DATABASE, LOG };

struct deed {
	enum what what;
	enum which file;
	i64 at;
	u32 n;
	u8 *bytes;
};

#define DEEDS_MAX 40000

static struct {
	char path[128]; /* of the database that is watched; "": none */
	pthread_mutex_t lock;
	struct deed at[DEEDS_MAX];
	_Atomic u32 n;
	_Atomic pid_t loop;
	_Atomic u32 waits;		  /* syncs by the loop's thread */
	_Atomic int write_error, sync_error; /* for other threads */
	_Atomic int writes_left;	  /* before write_error */
	_Atomic bool fails_once_more;	  /* in the loop's thread too */
	pthread_mutex_t hold;		  /* syncs of other threads wait for it */
	_Atomic bool is_syncing;	  /* another thread */
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .hold = PTHREAD_MUTEX_INITIALIZER };

static enum which which_file(int fd)
{
	char link[64], name[160];
	size_t len = strlen(seen.path);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = len ? readlink(link, name, sizeof(name) - 1) : 0;
	if (n <= 0)
		return NOT_OURS;
	name[n] = '\0';
	if (strncmp(name, seen.path, len) != 0)
		return NOT_OURS;
	return name[len] == '\0' ? DATABASE : strcmp(name + len, "-wal") == 0 ? LOG : NOT_OURS;
}

static void jot(enum what what, enum which file, i64 at, const void *p, size_t n)
{
	pthread_mutex_lock(&seen.lock);
	if (seen.n < DEEDS_MAX) {
		struct deed *d = &seen.at[seen.n];

		*d = (struct deed){ .what = what, .file = file, .at = at, .n = (u32)n, .bytes = n ? malloc(n) : NULL };
		if (n)
			memcpy(d->bytes, p, n);
		seen.n++;
	}
	pthread_mutex_unlock(&seen.lock);
}

static bool is_loop(void)
{
	return (pid_t)syscall(SYS_gettid) == seen.loop;
}

static ssize_t write_seen(int fd, const void *p, size_t n, off_t at)
{
	enum which file = which_file(fd);

	if (file != NOT_OURS && (!is_loop() || seen.fails_once_more) && seen.write_error && seen.writes_left-- <= 0) {
		if (is_loop())
			seen.fails_once_more = false;
		errno = seen.write_error;
		return -1;
	}
	ssize_t done = syscall(SYS_pwrite64, fd, p, n, at);
	if (file != NOT_OURS && done > 0)
		jot(DID_WRITE, file, at, p, (size_t)done);
	return done;
}

static int truncate_seen(int fd, off_t size)
{
	enum which file = which_file(fd);
	int rc = (int)syscall(SYS_ftruncate, fd, size);

	if (file != NOT_OURS && rc == 0)
		jot(DID_TRUNCATE, file, size, NULL, 0);
	return rc;
}

/* The disk of this test is the list of deeds. */
static int sync_seen(int fd)
{
	enum which file = which_file(fd);

	if (file == NOT_OURS)
		return 0;
	if (is_loop() && !seen.fails_once_more) {
		seen.waits++;
	} else {
		seen.is_syncing = true;
		pthread_mutex_lock(&seen.hold);
		pthread_mutex_unlock(&seen.hold);
		seen.is_syncing = false;
		usleep(2000); /* a disk has its time: much is queued meanwhile */
		if (seen.sync_error) {
			if (is_loop())
				seen.fails_once_more = false;
			errno = seen.sync_error;
			return -1;
		}
	}
	jot(DID_SYNC, file, 0, NULL, 0);
	return 0;
}

/* By the names that a C library has for them, whatever its headers make of these. */
ssize_t as_pwrite(int fd, const void *p, size_t n, off_t at) __asm__("pwrite");
ssize_t as_pwrite64(int fd, const void *p, size_t n, off_t at) __asm__("pwrite64");
int as_ftruncate(int fd, off_t size) __asm__("ftruncate");
int as_ftruncate64(int fd, off_t size) __asm__("ftruncate64");
int as_fdatasync(int fd) __asm__("fdatasync");

ssize_t as_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_seen(fd, p, n, at);
}

ssize_t as_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return write_seen(fd, p, n, at);
}

int as_ftruncate(int fd, off_t size)
{
	return truncate_seen(fd, size);
}

int as_ftruncate64(int fd, off_t size)
{
	return truncate_seen(fd, size);
}

int as_fdatasync(int fd)
{
	return sync_seen(fd);
}

static void watch_files(const char *path)
{
	for (u32 i = 0; i < seen.n; i++)
		free(seen.at[i].bytes);
	seen.n = 0;
	seen.write_error = seen.sync_error = seen.writes_left = 0;
	seen.loop = (pid_t)syscall(SYS_gettid);
	snprintf(seen.path, sizeof(seen.path), "%s", path);
}

/* ---- a file, as bytes ---------------------------------------------------------------------------------------------------------------------- */

struct image {
	u8 *p;
	size_t n;
};

static void image_resize(struct image *im, size_t n)
{
	if (n > im->n) {
		im->p = realloc(im->p, n);
		memset(im->p + im->n, 0, n - im->n);
	}
	im->n = n;
}

static void image_read(struct image *im, const char *path, const char *suffix)
{
	char name[200];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	FILE *f = fopen(name, "re");
	if (!f)
		return;
	fseek(f, 0, SEEK_END);
	image_resize(im, (size_t)ftell(f));
	rewind(f);
	if (im->n && fread(im->p, 1, im->n, f) != im->n)
		abort();
	fclose(f);
}

static void image_write(const struct image *im, const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f || (im->n && fwrite(im->p, 1, im->n, f) != im->n) || fclose(f))
		abort();
}

static struct image image_copy(const struct image *im)
{
	struct image copy = { 0 };

	image_resize(&copy, im->n);
	if (im->n)
		memcpy(copy.p, im->p, im->n);
	return copy;
}

static void image_free(struct image *im)
{
	free(im->p);
	*im = (struct image){ 0 };
}

#define SECTOR 512u

/* What of the deeds that were not synced is on the disk: sectors of some, some, most, those after some point, those before. */
enum fate { SOME_SECTORS, SOME, MOST, THE_NEWEST, THE_OLDEST, ALL };

static bool survives(enum fate f, struct rng *rng, u32 i, u32 point)
{
	return f == SOME ? rng_below(rng, 8) == 0 : f == MOST ? rng_below(rng, 8) > 0 : f == THE_NEWEST ? i >= point : f == THE_OLDEST ? i < point : true;
}

/* `rng`: only some sectors of it. */
static void image_apply(struct image *im, const struct deed *d, struct rng *rng)
{
	if (d->what == DID_TRUNCATE)
		image_resize(im, (size_t)d->at);
	if (d->what != DID_WRITE)
		return;
	for (u32 from = 0, to; from < d->n; from = to) {
		to = MIN(d->n, from + SECTOR - (u32)((u64)(d->at + from) % SECTOR));
		if (rng && rng_below(rng, 2))
			continue;
		size_t at = (size_t)d->at + from, end = (size_t)d->at + to;
		if (end > im->n)
			image_resize(im, end);
		memcpy(im->p + at, d->bytes + from, to - from);
	}
}

/* ---- a store on a loop --------------------------------------------------------------------------------------------------------------------- */

#define SETTLINGS_MAX 8192

struct deferred {
	struct world w;
	struct loop *loop;
	struct loop_timer timer;
	struct image start[2]; /* the files when watching began */
	const char *told;      /* trouble */
	u64 settled;
	struct {
		u64 ticket;
		u32 deeds; /* done when it was told */
	} settlings[SETTLINGS_MAX];
	u32 n_settlings;
};

static void on_settled(void *ctx, u64 ticket)
{
	struct deferred *d = ctx;

	d->settled = ticket;
	if (d->n_settlings < SETTLINGS_MAX) {
		d->settlings[d->n_settlings].ticket = ticket;
		d->settlings[d->n_settlings++].deeds = seen.n;
	}
	loop_stop(d->loop);
}

static void on_trouble(void *ctx, const char *why)
{
	struct deferred *d = ctx;

	d->told = why;
	loop_stop(d->loop);
}

static void on_timer(void *ctx, u64 now)
{
	struct deferred *d = ctx;

	(void)now;
	loop_stop(d->loop);
}

static void turn(struct deferred *d, u64 ns)
{
	loop_timer_set(d->loop, &d->timer, sys_now() + ns);
	loop_run(d->loop);
}

static struct deferred *defer_new(void)
{
	struct deferred *d = calloc(1, sizeof(*d));

	d->w = open_world();
	fill(&d->w);
	d->loop = loop_new(&(struct loop_clock){ sys_clock_now, sys_clock_wall, NULL });
	d->timer.cb = on_timer;
	d->timer.ctx = d;
	store_watch(d->w.s, on_trouble, d);
	if (store_defer(d->w.s, d->loop, on_settled, d))
		test_fail(__FILE__, __LINE__, "store_defer");
	image_read(&d->start[DATABASE], d->w.path, "");
	image_read(&d->start[LOG], d->w.path, "-wal");
	watch_files(d->w.path);
	seen.waits = 0;
	return d;
}

static void defer_free(struct deferred *d)
{
	seen.path[0] = '\0';
	seen.write_error = seen.sync_error = 0;
	close_world(&d->w);
	loop_timer_clear(d->loop, &d->timer);
	loop_free(d->loop);
	image_free(&d->start[DATABASE]);
	image_free(&d->start[LOG]);
	free(d);
}

/* Until it has settled, or there is trouble. */
static bool settles(struct deferred *d, u64 ticket)
{
	u64 until = sys_now() + SEC(20);

	while (d->settled < ticket && !d->told && sys_now() < until)
		turn(d, MSEC(20));
	return d->settled >= ticket;
}

static int put_number(struct deferred *d, u32 i, enum store_durability how)
{
	struct store *s = d->w.s;
	struct site site;
	int rc = store_get(s, KIND_SITE, &d->w.account, &d->w.site, &site);

	if (rc)
		return rc;
	free(site.name);
	if (asprintf(&site.name, "%u", i) < 0)
		abort();
	rc = store_begin(s, how);
	rc = rc ? rc : store_update(s, KIND_SITE, &site, WALL + i);
	rc = rc ? store_rollback(s, rc) : store_commit(s);
	entity_deinit(KIND_SITE, &site);
	return rc;
}

static int number_in(struct store *s, const struct world *w)
{
	struct site site;
	int n = store_get(s, KIND_SITE, &w->account, &w->site, &site) ? -1 : atoi(site.name);

	if (n >= 0)
		entity_deinit(KIND_SITE, &site);
	return n;
}

/* ---- power cuts ---------------------------------------------------------------------------------------------------------------------------- */

#define COMMITS 400u

struct commit {
	u64 ticket;
	bool is_durable;
};

/* Bursts that wait for nothing, and now and then a turn of the loop. A small cache makes SQLite read back what it has written. */
static void commit_much(struct deferred *d, struct rng *rng, struct commit out[static COMMITS])
{
	EXPECT_EQ(sqlite3_exec(d->w.s->db, "PRAGMA cache_size=10", NULL, NULL, NULL), SQLITE_OK);
	for (u32 i = 1; i < COMMITS; i++) {
		out[i].is_durable = rng_below(rng, 3) > 0;
		REQUIRE(put_number(d, i, out[i].is_durable ? STORE_DURABLE : STORE_EAGER) == 0);
		out[i].ticket = store_ticket(d->w.s);
		if (out[i].ticket == 0)
			out[i].ticket = d->settled ? d->settled : 1;
		REQUIRE(number_in(d->w.s, &d->w) == (int)i);
		if (rng_below(rng, 5) == 0)
			turn(d, rng_below(rng, 3) * MSEC(1));
	}
	EXPECT(settles(d, store_ticket(d->w.s)));
	EXPECT_EQ(store_ticket(d->w.s), 0);
	EXPECT_EQ(seen.waits, 0);
	EXPECT(seen.n < DEEDS_MAX);
}

/* The newest commit that was settled when so many deeds were done. */
static u32 settled_by(const struct deferred *d, const struct commit c[static COMMITS], u32 deeds, bool counts_eager)
{
	u64 ticket = 0;
	u32 newest = 0;

	for (u32 i = 0; i < d->n_settlings && d->settlings[i].deeds <= deeds; i++)
		ticket = d->settlings[i].ticket;
	for (u32 i = 1; i < COMMITS; i++)
		if ((c[i].is_durable || counts_eager) && c[i].ticket <= ticket)
			newest = i;
	return newest;
}

static int number_after_reopening(struct deferred *d, struct image files[static 2])
{
	char path[160], log[170], why[256] = "";
	struct store *s;
	int n;

	snprintf(path, sizeof(path), "%s/cut.db", d->w.dir);
	snprintf(log, sizeof(log), "%s-wal", path);
	image_write(&files[DATABASE], path);
	image_write(&files[LOG], log);
	if (store_open(&s, path, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	n = number_in(s, &d->w);
	store_close(s);
	if (store_check(path, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	unlink(path);
	unlink(log);
	return n;
}

/* Every other one soon after the log began anew. */
static u32 next_cut(struct rng *rng, u32 cut, u32 cuts)
{
	u32 end = (u32)((u64)seen.n * cut / cuts) - (u32)rng_below(rng, seen.n / cuts / 2 + 1);

	for (u32 i = end; cut % 2 && i < (u64)seen.n * (cut + 1) / cuts && i < seen.n; i++)
		if (seen.at[i].what == DID_WRITE && seen.at[i].file == LOG && seen.at[i].at == 0)
			return MIN(i + 1 + (u32)rng_below(rng, 100), (u32)seen.n);
	return end;
}

/* Cuts the power after some of the deeds. Of those that were not synced a part is on the disk; ALL of it after a kill. */
static void cut_often(struct deferred *d, const struct commit c[static COMMITS], struct rng *rng, u32 cuts, bool is_kill)
{
	struct image disk[2] = { image_copy(&d->start[DATABASE]), image_copy(&d->start[LOG]) };
	u32 unsynced[2] = { 0, 0 }, at = 0;

	for (u32 cut = 1; cut <= cuts; cut++) {
		u32 end = MAX(at, next_cut(rng, cut, cuts));
		enum fate fate = is_kill ? ALL : (enum fate)rng_below(rng, ALL);

		for (; at < end; at++) {
			enum which file = seen.at[at].file;

			if (seen.at[at].what != DID_SYNC)
				continue;
			for (u32 i = unsynced[file]; i < at; i++)
				if (seen.at[i].file == file)
					image_apply(&disk[file], &seen.at[i], NULL);
			unsynced[file] = at;
		}
		struct image left[2] = { image_copy(&disk[DATABASE]), image_copy(&disk[LOG]) };
		u32 oldest = MIN(unsynced[DATABASE], unsynced[LOG]), point = oldest + (u32)rng_below(rng, end - oldest + 1);
		for (u32 i = oldest; i < end; i++)
			if (i >= unsynced[seen.at[i].file] && survives(fate, rng, i, point))
				image_apply(&left[seen.at[i].file], &seen.at[i], fate == SOME_SECTORS ? rng : NULL);
		int n = number_after_reopening(d, left);
		u32 least = settled_by(d, c, end, is_kill);
		if (n < (int)least) {
			fprintf(stderr, "after %u of %u deeds: %d, though %u had settled\n", end, seen.n, n, least);
			test_fail(__FILE__, __LINE__, "something that had settled is lost");
		}
		image_free(&left[DATABASE]);
		image_free(&left[LOG]);
	}
	image_free(&disk[DATABASE]);
	image_free(&disk[LOG]);
}

static void commit_and_cut(u64 seed, u32 cuts, bool is_kill)
{
	struct deferred *d = defer_new();
	struct commit *c = calloc(COMMITS, sizeof(*c));
	struct rng_seeded rng;

	rng_seeded_init(&rng, seed);
	commit_much(d, &rng.rng, c);
	seen.path[0] = '\0';
	cut_often(d, c, &rng.rng, cuts, is_kill);
	free(c);
	defer_free(d);
}

TEST(a_power_cut_loses_nothing_that_had_settled)
{
	commit_and_cut(1, 40, false);
	commit_and_cut(2, 40, false);
}

TEST(a_kill_loses_nothing_that_had_settled)
{
	commit_and_cut(3, 30, true);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------------------- */

TEST(commits_that_wait_together_need_one_sync)
{
	struct deferred *d = defer_new();

	EXPECT_EQ(put_number(d, 1, STORE_DURABLE), 0);
	EXPECT(settles(d, store_ticket(d->w.s)));
	u64 before = store_disk(d->w.s).syncs;
	pthread_mutex_lock(&seen.hold);
	for (u32 i = 2; i < 10; i++)
		EXPECT_EQ(put_number(d, i, STORE_DURABLE), 0);
	u64 ticket = store_ticket(d->w.s);
	turn(d, MSEC(10));
	EXPECT(d->settled < ticket);
	EXPECT(store_ticket(d->w.s) > 0);
	pthread_mutex_unlock(&seen.hold);
	EXPECT(settles(d, ticket));
	EXPECT(store_disk(d->w.s).syncs - before <= 2);
	EXPECT_EQ(seen.waits, 0);
	defer_free(d);
}

TEST(what_only_reads_or_does_nothing_has_no_ticket)
{
	struct deferred *d = defer_new();

	EXPECT_EQ(store_ticket(d->w.s), 0);
	EXPECT(number_in(d->w.s, &d->w) >= 0);
	EXPECT_EQ(put_number(d, 1, STORE_EAGER), 0);
	EXPECT_EQ(store_ticket(d->w.s), 0); /* the kernel has it */
	EXPECT_EQ(store_begin(d->w.s, STORE_DURABLE), 0);
	EXPECT_EQ(store_rollback(d->w.s, ERR_STATE), ERR_STATE);
	EXPECT_EQ(store_ticket(d->w.s), 0);
	defer_free(d);
}

static void *let_go(void *arg)
{
	(void)arg;
	usleep(200000);
	pthread_mutex_unlock(&seen.hold);
	return NULL;
}

static void *hold_then_let_go(void *arg)
{
	pthread_mutex_lock(&seen.hold);
	pthread_barrier_wait(arg);
	return let_go(NULL);
}

TEST(more_than_fits_waits_for_the_disk_and_is_counted)
{
	struct deferred *d = defer_new();
	pthread_barrier_t is_held;
	pthread_t other;

	pthread_barrier_init(&is_held, NULL, 2);
	REQUIRE(pthread_create(&other, NULL, hold_then_let_go, &is_held) == 0);
	pthread_barrier_wait(&is_held);
	EXPECT_EQ(put_number(d, 1, STORE_DURABLE), 0);
	EXPECT_EQ(store_begin(d->w.s, STORE_DURABLE), 0);
	EXPECT_EQ(sqlite3_exec(d->w.s->db, "CREATE TABLE big(x);INSERT INTO big VALUES(zeroblob(9000000))", NULL, NULL, NULL), SQLITE_OK);
	EXPECT_EQ(store_commit(d->w.s), 0);
	pthread_join(other, NULL);
	pthread_barrier_destroy(&is_held);
	EXPECT(store_disk(d->w.s).waits > 0);
	EXPECT(settles(d, store_ticket(d->w.s)));
	EXPECT_EQ(number_in(d->w.s, &d->w), 1);
	defer_free(d);
}

TEST(no_other_process_reads_the_files_meanwhile)
{
	struct deferred *d = defer_new();
	int status;

	pid_t child = fork();
	if (child == 0) {
		sqlite3 *db;
		bool can = sqlite3_open_v2(d->w.path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
			   sqlite3_exec(db, "SELECT count(*) FROM sites", NULL, NULL, NULL) != SQLITE_BUSY;
		_exit(can);
	}
	REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
	EXPECT_EQ(status, 0);
	defer_free(d);
}

TEST(closing_waits_for_the_disk)
{
	struct deferred *d = defer_new();
	char why[256];

	for (u32 i = 1; i < 30; i++)
		EXPECT_EQ(put_number(d, i, STORE_DURABLE), 0);
	store_close(d->w.s);
	REQUIRE(store_open(&d->w.s, d->w.path, why, sizeof(why)) == 0);
	EXPECT_EQ(number_in(d->w.s, &d->w), 29);
	defer_free(d);
}

/* ---- trouble ------------------------------------------------------------------------------------------------------------------------------- */

/* A commit whose sync is under way, and behind it one whose pages are still to be written. */
static void write_behind_a_sync(struct deferred *d)
{
	pthread_mutex_lock(&seen.hold);
	EXPECT_EQ(put_number(d, 1, STORE_DURABLE), 0);
	for (u64 until = sys_now() + SEC(20); !seen.is_syncing && sys_now() < until;)
		usleep(1000);
	EXPECT_EQ(put_number(d, 2, STORE_DURABLE), 0);
	EXPECT_EQ(number_in(d->w.s, &d->w), 2);
}

#define LAST_NUMBER 259

/* More such commits, of which none can be written: the thread is asked for several, and fails while the loop is told of the first. Ticket of the last. */
static u64 stop_the_queue(struct deferred *d, int write_error, int sync_error)
{
	write_behind_a_sync(d);
	for (u32 i = 200; i <= LAST_NUMBER; i++)
		EXPECT_EQ(put_number(d, i, STORE_DURABLE), 0);
	u64 ticket = store_ticket(d->w.s);
	seen.write_error = write_error;
	seen.sync_error = sync_error;
	pthread_mutex_unlock(&seen.hold);
	EXPECT(!settles(d, ticket));
	return ticket;
}

TEST(a_disk_that_is_full_keeps_what_waits_until_there_is_room)
{
	struct deferred *d = defer_new();

	u64 ticket = stop_the_queue(d, ENOSPC, 0);
	EXPECT_STR(d->told, "the disk is full");
	EXPECT_STR(store_trouble(d->w.s), "the disk is full");
	EXPECT(!store_is_lost(d->w.s));
	EXPECT_EQ(number_in(d->w.s, &d->w), LAST_NUMBER);
	EXPECT_EQ(put_number(d, 3, STORE_DURABLE), ERR_IO);
	EXPECT_EQ(put_number(d, 4, STORE_EAGER), ERR_IO);
	EXPECT_EQ(number_in(d->w.s, &d->w), LAST_NUMBER);
	EXPECT_EQ(store_try(d->w.s), ERR_IO);
	turn(d, MSEC(30)); /* tried, in vain */
	EXPECT(store_trouble(d->w.s) != NULL);
	seen.write_error = 0;
	u64 until = sys_now() + SEC(20);
	while (store_try(d->w.s) && sys_now() < until)
		turn(d, MSEC(5));
	EXPECT(store_trouble(d->w.s) == NULL);
	EXPECT(d->told == NULL);
	EXPECT(settles(d, ticket));
	EXPECT_EQ(put_number(d, 5, STORE_DURABLE), 0);
	EXPECT(settles(d, store_ticket(d->w.s)));
	EXPECT_EQ(number_in(d->w.s, &d->w), 5);
	defer_free(d);
}

/* What is in the file is what a kill would have left; not what the log of before has where the new one was to be. */
static void close_in_trouble(int write_error, int sync_error)
{
	struct deferred *d = defer_new();
	char why[256] = "";
	u32 i = 10;

	for (; i < 150; i++) {
		EXPECT_EQ(put_number(d, i, STORE_DURABLE), 0);
		EXPECT(settles(d, store_ticket(d->w.s)));
	}
	u32 settled = i - 1;
	(void)stop_the_queue(d, write_error, sync_error);
	seen.fails_once_more = true; /* when closing tries again; not what SQLite does then */
	store_close(d->w.s);
	seen.fails_once_more = false;
	seen.write_error = seen.sync_error = 0;
	if (!EXPECT_EQ(store_check(d->w.path, why, sizeof(why)), 0))
		fprintf(stderr, "%s\n", why);
	REQUIRE(store_open(&d->w.s, d->w.path, why, sizeof(why)) == 0);
	int n = number_in(d->w.s, &d->w);
	if (!EXPECT(n == (int)settled || n == 1))
		fprintf(stderr, "%d\n", n);
	defer_free(d);
}

TEST(closing_while_the_disk_is_full_leaves_what_had_settled)
{
	close_in_trouble(ENOSPC, 0);
}

TEST(closing_after_a_sync_that_failed_leaves_what_had_settled)
{
	close_in_trouble(0, EIO);
}

static u32 log_syncs(void)
{
	u32 n = 0;

	for (u32 i = 0; i < seen.n; i++)
		n += seen.at[i].what == DID_SYNC && seen.at[i].file == LOG;
	return n;
}

/* A sync that was left to a later one, which never came. */
TEST(what_was_left_to_a_sync_that_did_not_come_has_not_settled)
{
	u32 settled = 0, unsettled = 0;

	for (int writes = 0; writes < 160; writes += 9) {
		struct deferred *d = defer_new();

		write_behind_a_sync(d);
		u64 ticket = store_ticket(d->w.s);
		EXPECT_EQ(put_number(d, 3, STORE_DURABLE), 0);
		u64 last = store_ticket(d->w.s);
		seen.writes_left = writes;
		seen.write_error = ENOSPC;
		pthread_mutex_unlock(&seen.hold);
		if (!settles(d, last))
			EXPECT(d->settled < ticket || log_syncs() > 1);
		*(d->settled >= last ? &settled : &unsettled) += 1;
		defer_free(d);
	}
	EXPECT(settled > 0); /* so the others were cut off at every point */
	EXPECT(unsettled > 2);
}

TEST(a_sync_that_failed_is_never_believed_again)
{
	struct deferred *d = defer_new();

	u64 ticket = stop_the_queue(d, 0, EIO);
	EXPECT(store_is_lost(d->w.s));
	EXPECT(d->told && strstr(d->told, "the disk lost what was written"));
	seen.sync_error = 0;
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(store_try(d->w.s), ERR_IO);
		turn(d, MSEC(5));
	}
	EXPECT(store_is_lost(d->w.s));
	EXPECT(d->settled < ticket);
	EXPECT_EQ(put_number(d, 3, STORE_DURABLE), ERR_IO);
	defer_free(d);
}
