#include "platform/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
	struct worker_job *head, **tail;
};

struct worker {
	pthread_mutex_t lock; /* of all below but `pending` */
	pthread_cond_t work;
	struct queue todo, finished;
	bool is_ending;
	int fd;
	u32 pending; /* the owner's thread only */
	bool has_thread;
	pthread_t thread;
};

static void put(struct queue *q, struct worker_job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct worker_job *take(struct queue *q)
{
	struct worker_job *job = q->head;

	if (job && !(q->head = job->next))
		q->tail = &q->head;
	return job;
}

static void ring(int fd)
{
	u64 one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->is_ending) {
		struct worker_job *job = take(&w->todo);
		if (!job) {
			pthread_cond_wait(&w->work, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		job->run(job);
		pthread_mutex_lock(&w->lock);
		put(&w->finished, job);
		ring(w->fd);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int worker_new(struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return ERR_NOMEM;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0) {
		free(w);
		return ERR_IO;
	}
	w->todo.tail = &w->todo.head;
	w->finished.tail = &w->finished.head;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	*out = w;
	return 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->has_thread) {
		pthread_mutex_lock(&w->lock);
		w->is_ending = true;
		pthread_cond_signal(&w->work);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	close(w->fd);
	free(w);
}

static int start(struct worker *w)
{
	pthread_attr_t attr;
	sigset_t all, before;

	if (pthread_attr_init(&attr) != 0)
		return ERR_IO;
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&w->thread, &attr, work, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (rc != 0) {
		errno = rc;
		return ERR_IO;
	}
	w->has_thread = true;
	return 0;
}

int worker_submit(struct worker *w, struct worker_job *job)
{
	if (w->pending >= WORKER_QUEUE_MAX)
		return ERR_LIMIT;
	if (!w->has_thread) {
		int rc = start(w);
		if (rc)
			return rc;
	}
	w->pending++;
	pthread_mutex_lock(&w->lock);
	put(&w->todo, job);
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

int worker_fd(const struct worker *w)
{
	return w->fd;
}

void worker_collect(struct worker *w)
{
	struct queue finished = { 0 };
	struct worker_job *job;
	u64 n;

	finished.tail = &finished.head;
	(void)!read(w->fd, &n, sizeof(n));
	pthread_mutex_lock(&w->lock);
	while ((job = take(&w->finished)))
		put(&finished, job);
	pthread_mutex_unlock(&w->lock);
	while ((job = take(&finished))) {
		w->pending--;
		job->done(job);
	}
}

u32 worker_pending(const struct worker *w)
{
	return w->pending;
}
