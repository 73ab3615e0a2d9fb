#include "applets/portal/store/behind.h"

#include "platform/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC };

struct file;

struct op {
	struct op *next, *next_of_file, *next_of_block; /* syncs change no file */
	struct file *file;
	enum op_kind kind;
	bool is_of_head; /* a sync that the log's new head waits for */
	u64 ticket;
	i64 at;
	u32 n;
	u8 bytes[];
};

/* Asks the thread to work until a sync is done. */
struct errand {
	struct worker_job job;
	struct behind *owner;
	bool is_out; /* submitted, not collected */
};

#define ERRANDS 8 /* so that the thread need not wait for the loop between them */

struct behind {
	pthread_mutex_t lock; /* of the queue and the counters, the files' too */
	pthread_cond_t rest;  /* nobody works on the queue */
	struct op *head, **tail;
	size_t bytes;
	u64 done;      /* ticket of the last that is done for good */
	bool owes;     /* a sync was left to a later one */
	bool is_busy;  /* somebody works on the queue */
	int error;     /* of its head: errno, negative of a sync, by which all is lost */
	struct behind_stats stats;

	/* the owner's thread only */
	bool is_on;
	u32 n_out; /* errands */
	u64 ticket, settled;
	int trouble; /* `error`, as it was looked at */
	struct worker *worker;
	struct errand errands[ERRANDS];
	struct loop_fd *watch;
	void (*told)(void *ctx);
	void *ctx;
};

#define BLOCK 4096 /* no write of SQLite's is longer than a page, which is one in our databases */
#define BLOCKS 256u

struct ops {
	struct op *first, *last;
};

struct file {
	sqlite3_file base;
	struct behind *owner;
	int fd; /* the queue's way to the file: SQLite does not lend its own */
	bool is_log, has_new_head;
	struct ops queued, at[BLOCKS]; /* all, and by the block they begin in: a checkpoint reads the whole log, while much of it is queued */
	u32 n_odd;		       /* of them, those that are longer than a block or no writes */
	i64 size;		       /* once all is written; while something is queued */
	alignas(i64) u8 below[]; /* SQLite's own file */
};

static struct file *file_of(sqlite3_file *f)
{
	return container_of(f, struct file, base);
}

static sqlite3_file *below(sqlite3_file *f)
{
	return (sqlite3_file *)(void *)file_of(f)->below;
}

/* ---- working on the queue (any thread) ------------------------------------------------------------------------------------------------ */

static int write_all(int fd, const u8 *p, size_t n, i64 at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : EIO;
		p += done;
		n -= (size_t)done;
		at += done;
	}
	return 0;
}

static int perform(const struct op *op)
{
	int rc = 0;

	if (op->kind == OP_WRITE)
		return write_all(op->file->fd, op->bytes, op->n, op->at);
	do
		rc = op->kind == OP_SYNC ? fdatasync(op->file->fd) : ftruncate(op->file->fd, (off_t)op->at);
	while (rc && errno == EINTR);
	return rc ? errno : 0;
}

/* Does a later sync do for this one? */
static bool is_left_to_another(const struct op *sync)
{
	if (!sync->file->is_log || sync->is_of_head)
		return false;
	for (const struct op *op = sync->next; op; op = op->next) {
		if (op->file != sync->file || op->kind == OP_TRUNCATE || (op->kind == OP_WRITE && op->at == 0))
			return false;
		if (op->kind == OP_SYNC)
			return true;
	}
	return false;
}

static bool is_odd(const struct op *op)
{
	return op->kind != OP_WRITE || op->n > BLOCK;
}

static struct ops *block_of(struct file *f, i64 at)
{
	return &f->at[(u64)at / BLOCK % BLOCKS];
}

static void enlist(struct op *op)
{
	struct file *f = op->file;
	struct ops *block = block_of(f, op->at);

	*(f->queued.first ? &f->queued.last->next_of_file : &f->queued.first) = op;
	f->queued.last = op;
	if (is_odd(op)) {
		f->n_odd++;
		return;
	}
	*(block->first ? &block->last->next_of_block : &block->first) = op;
	block->last = op;
}

/* The oldest of its file. */
static void delist(struct op *op)
{
	op->file->queued.first = op->next_of_file;
	if (is_odd(op))
		op->file->n_odd--;
	else
		block_of(op->file, op->at)->first = op->next_of_block;
}

static void remove_head(struct behind *b)
{
	struct op *op = b->head;

	b->head = op->next;
	if (!b->head)
		b->tail = &b->head;
	b->bytes -= sizeof(*op) + op->n;
	if (op->kind != OP_SYNC)
		delist(op);
	free(op);
}

/* Does what is first, the lock released meanwhile. False: it cannot be done. */
static bool do_head(struct behind *b, bool *has_synced)
{
	struct op *op = b->head;
	bool is_left = op->kind == OP_SYNC && is_left_to_another(op);

	pthread_mutex_unlock(&b->lock);
	int error = is_left ? 0 : perform(op);
	pthread_mutex_lock(&b->lock);
	b->error = op->kind == OP_SYNC ? -error : error;
	if (error)
		return false;
	*has_synced = op->kind == OP_SYNC && !is_left;
	b->owes = is_left || (b->owes && !*has_synced);
	b->stats.syncs += *has_synced;
	b->stats.writes += op->kind == OP_WRITE;
	if (!b->owes)
		b->done = op->ticket;
	remove_head(b);
	return true;
}

static void work(struct behind *b, bool is_for_all)
{
	bool has_synced = false;

	pthread_mutex_lock(&b->lock);
	while (b->is_busy)
		pthread_cond_wait(&b->rest, &b->lock);
	b->is_busy = true;
	while (b->head && b->error >= 0 && (is_for_all || !has_synced) && do_head(b, &has_synced))
		;
	b->is_busy = false;
	pthread_cond_broadcast(&b->rest);
	pthread_mutex_unlock(&b->lock);
}

/* ---- the owner's side of it ------------------------------------------------------------------------------------------------------------ */

static bool look(struct behind *b)
{
	pthread_mutex_lock(&b->lock);
	bool has_more = b->head != NULL;
	b->settled = has_more ? b->done : b->ticket;
	b->trouble = b->error;
	pthread_mutex_unlock(&b->lock);
	return has_more;
}

static void drain(struct behind *b)
{
	work(b, true);
	(void)look(b);
}

static void submit(struct behind *b)
{
	struct errand *e = b->errands;

	if (b->trouble || b->n_out == ERRANDS)
		return;
	while (e->is_out)
		e++;
	e->is_out = worker_submit(b->worker, &e->job) == 0;
	b->n_out += e->is_out;
	if (b->n_out == 0)
		drain(b); /* no thread to be had */
}

static void run(struct worker_job *job)
{
	work(container_of(job, struct errand, job)->owner, false);
}

static void done(struct worker_job *job)
{
	struct errand *e = container_of(job, struct errand, job);
	struct behind *b = e->owner;

	e->is_out = false;
	b->n_out--;
	if (look(b) && b->n_out == 0)
		submit(b);
	b->told(b->ctx);
}

static void on_worker(void *ctx, int fd, unsigned events, u64 now)
{
	struct behind *b = ctx;

	(void)fd;
	(void)events;
	(void)now;
	worker_collect(b->worker);
}

static bool is_waiting(const struct behind *b)
{
	return b->ticket > b->settled;
}

static int refusal(const struct behind *b)
{
	return b->trouble == ENOSPC || b->trouble == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static bool is_full(struct behind *b)
{
	pthread_mutex_lock(&b->lock);
	bool is_full = b->bytes >= BEHIND_MAX;
	b->stats.waits += is_full;
	pthread_mutex_unlock(&b->lock);
	return is_full;
}

static int queue(struct file *f, enum op_kind kind, i64 at, const void *p, u32 n)
{
	struct behind *b = f->owner;
	sqlite3_int64 size = 0;

	if (is_full(b))
		drain(b);
	if (b->trouble)
		return refusal(b);
	struct op *op = malloc(sizeof(*op) + n);
	if (!op)
		return SQLITE_IOERR_NOMEM;
	*op = (struct op){ .file = f, .kind = kind, .at = at, .n = n, .ticket = ++b->ticket, .is_of_head = f->has_new_head };
	if (n)
		memcpy(op->bytes, p, n);
	pthread_mutex_lock(&b->lock);
	if (kind != OP_SYNC) {
		if (!f->queued.first) {
			(void)below(&f->base)->pMethods->xFileSize(below(&f->base), &size);
			f->size = size;
		}
		f->size = kind == OP_WRITE ? MAX(f->size, at + n) : MIN(f->size, at);
		enlist(op);
	}
	b->bytes += sizeof(*op) + n;
	*b->tail = op;
	b->tail = &op->next;
	pthread_mutex_unlock(&b->lock);
	if (kind == OP_SYNC || b->n_out == 0)
		submit(b);
	return SQLITE_OK;
}

/* ---- what SQLite calls ------------------------------------------------------------------------------------------------------------------ */

static int on_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	struct file *f = file_of(file);
	struct behind *b = f->owner;

	if (f->is_log && at == 0)
		f->has_new_head = true;
	if (!b->is_on || !is_waiting(b))
		return below(file)->pMethods->xWrite(below(file), p, n, at);
	return queue(f, OP_WRITE, at, p, (u32)n);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct behind *b = file_of(file)->owner;

	if (!b->is_on || !is_waiting(b))
		return below(file)->pMethods->xTruncate(below(file), size);
	return queue(file_of(file), OP_TRUNCATE, size, NULL, 0);
}

static int on_sync(sqlite3_file *file, int flags)
{
	struct file *f = file_of(file);
	int rc = f->owner->is_on ? queue(f, OP_SYNC, 0, NULL, 0) : below(file)->pMethods->xSync(below(file), flags);

	f->has_new_head = f->has_new_head && rc != SQLITE_OK;
	return rc;
}

static void lay_over(u8 *out, i64 n, i64 at, const struct op *op)
{
	i64 from = MAX(at, op->at), to = op->kind == OP_WRITE ? MIN(at + n, op->at + op->n) : at + n;

	if (from >= to)
		return;
	if (op->kind == OP_WRITE)
		memcpy(out + (from - at), op->bytes + (from - op->at), (size_t)(to - from));
	else
		memset(out + (from - at), 0, (size_t)(to - from));
}

/* Oldest first. A write that begins a block earlier may reach into this one. */
static void lay_all_over(u8 *out, i64 n, i64 at, struct file *f)
{
	const struct op *of[3] = { block_of(f, MAX(at - BLOCK, 0))->first, block_of(f, at)->first, block_of(f, at + n - 1)->first }, **oldest;

	for (const struct op *op = f->queued.first; op && (f->n_odd || n > BLOCK); op = op->next_of_file)
		lay_over(out, n, at, op);
	if (f->n_odd || n > BLOCK)
		return;
	for (;;) {
		oldest = NULL;
		for (int i = 0; i < 3; i++)
			if (of[i] && (!oldest || of[i]->ticket < (*oldest)->ticket))
				oldest = &of[i];
		if (!oldest)
			return;
		lay_over(out, n, at, *oldest);
		*oldest = (*oldest)->next_of_block;
	}
}

/* Under the lock: what is queued stays queued until we have looked, though its writing may be half done. */
static int on_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
	struct file *f = file_of(file);
	struct behind *b = f->owner;

	if (!b->is_on || !is_waiting(b))
		return below(file)->pMethods->xRead(below(file), out, n, at);
	pthread_mutex_lock(&b->lock);
	int rc = below(file)->pMethods->xRead(below(file), out, n, at);
	if (f->queued.first && (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ)) {
		lay_all_over(out, n, at, f);
		rc = at + n <= f->size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static int on_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct file *f = file_of(file);
	struct behind *b = f->owner;

	pthread_mutex_lock(&b->lock);
	int rc = below(file)->pMethods->xFileSize(below(file), size);
	if (rc == SQLITE_OK && f->queued.first)
		*size = f->size;
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static void behind_free(struct behind *b)
{
	pthread_cond_destroy(&b->rest);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static int on_close(sqlite3_file *file)
{
	struct file *f = file_of(file);
	int rc = below(file)->pMethods->xClose(below(file));

	/* Only now: closing any descriptor of a file gives up the locks that the process has on it (fcntl(2)). */
	if (f->fd >= 0)
		close(f->fd);
	if (!f->is_log)
		behind_free(f->owner);
	return rc;
}

static int on_lock(sqlite3_file *f, int level)
{
	return below(f)->pMethods->xLock(below(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
	return below(f)->pMethods->xUnlock(below(f), level);
}

static int on_check_lock(sqlite3_file *f, int *out)
{
	return below(f)->pMethods->xCheckReservedLock(below(f), out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
	return below(f)->pMethods->xFileControl(below(f), op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
	return below(f)->pMethods->xSectorSize(below(f));
}

static int on_device(sqlite3_file *f)
{
	return below(f)->pMethods->xDeviceCharacteristics(below(f));
}

static int on_shm_map(sqlite3_file *f, int region, int size, int extends, void volatile **out)
{
	return below(f)->pMethods->xShmMap(below(f), region, size, extends, out);
}

static int on_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return below(f)->pMethods->xShmLock(below(f), at, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
	below(f)->pMethods->xShmBarrier(below(f));
}

static int on_shm_unmap(sqlite3_file *f, int deletes)
{
	return below(f)->pMethods->xShmUnmap(below(f), deletes);
}

static const struct sqlite3_io_methods methods = {
	.iVersion = 2, /* no mmap(): it would show what is in the file already */
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_unlock,
	.xCheckReservedLock = on_check_lock,
	.xFileControl = on_control,
	.xSectorSize = on_sector_size,
	.xDeviceCharacteristics = on_device,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

static sqlite3_vfs *system_vfs;

static struct behind *behind_new(void)
{
	struct behind *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->rest, NULL);
	b->tail = &b->head;
	for (int i = 0; i < ERRANDS; i++)
		b->errands[i] = (struct errand){ .job = { .run = run, .done = done }, .owner = b };
	return b;
}

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct file *f = (struct file *)(void *)file;
	bool is_log = flags & SQLITE_OPEN_WAL;

	(void)vfs;
	if (!name || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
		return system_vfs->xOpen(system_vfs, name, file, flags, out_flags);
	*f = (struct file){ .fd = -1, .is_log = is_log };
	f->owner = is_log ? file_of(sqlite3_database_file_object(name))->owner : behind_new();
	if (!f->owner)
		return SQLITE_NOMEM;
	int rc = system_vfs->xOpen(system_vfs, name, below(file), flags, out_flags);
	if (rc == SQLITE_OK) {
		f->base.pMethods = &methods; /* from here on it will be closed */
		f->fd = open(name, O_RDWR | O_CLOEXEC);
		return f->fd >= 0 || errno == EACCES || errno == EROFS ? SQLITE_OK : SQLITE_CANTOPEN;
	}
	if (!is_log)
		behind_free(f->owner);
	return rc;
}

/* ---- doors ------------------------------------------------------------------------------------------------------------------------------- */

int behind_register(void)
{
	static sqlite3_vfs vfs;

	if (system_vfs)
		return 0;
	if (sqlite3_initialize() != SQLITE_OK || !sqlite3_vfs_find(NULL))
		return ERR_NOMEM;
	vfs = *sqlite3_vfs_find(NULL);
	vfs.zName = BEHIND_VFS;
	vfs.szOsFile += (int)sizeof(struct file);
	vfs.xOpen = on_open;
	vfs.pNext = NULL;
	system_vfs = sqlite3_vfs_find(NULL);
	return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? 0 : ERR_NOMEM;
}

struct behind *behind_of(sqlite3 *db)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || file->pMethods != &methods)
		return NULL;
	return file_of(file)->owner;
}

int behind_start(struct behind *b, struct loop *loop, void (*told)(void *ctx), void *ctx)
{
	int rc = worker_new(&b->worker);

	if (rc)
		return rc;
	b->watch = loop_fd_add(loop, worker_fd(b->worker), LOOP_READ, on_worker, b);
	if (!b->watch) {
		worker_free(b->worker);
		b->worker = NULL;
		return ERR_NOMEM;
	}
	b->told = told;
	b->ctx = ctx;
	b->is_on = true;
	return 0;
}

bool behind_stop(struct behind *b)
{
	if (!b || !b->is_on)
		return true;
	drain(b);
	loop_fd_del(b->watch);
	worker_free(b->worker);
	bool is_written = !b->head;
	while (b->head)
		remove_head(b); /* nobody was told that it is written */
	b->is_on = false;
	b->worker = NULL;
	return is_written;
}

u64 behind_ticket(const struct behind *b)
{
	return is_waiting(b) ? b->ticket : 0;
}

u64 behind_settled(const struct behind *b)
{
	return b->settled;
}

/* Counted in operations, of 2 KiB on average: bytes would need the lock. */
bool behind_is_far(const struct behind *b)
{
	return b->ticket - b->settled > BEHIND_MAX / 4 / 2048 && !b->trouble;
}

int behind_trouble(const struct behind *b)
{
	return abs(b->trouble);
}

bool behind_is_lost(const struct behind *b)
{
	return b->trouble < 0;
}

void behind_retry(struct behind *b)
{
	if (!b->is_on || b->n_out > 0 || b->trouble <= 0)
		return;
	b->trouble = 0;
	submit(b);
}

struct behind_stats behind_stats(struct behind *b)
{
	pthread_mutex_lock(&b->lock);
	struct behind_stats out = b->stats;
	pthread_mutex_unlock(&b->lock);
	return out;
}
