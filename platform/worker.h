/* platform/worker.h: one helper thread for work that would make the loop wait too long (slow password hashes, the disk; nothing that knows the network).
 *
 *   worker_submit() ──▶ queue ──▶ [the thread: job.run(job)] ──▶ done ──▶ worker_fd() readable ──▶ worker_collect() ──▶ job.done(job)
 *
 * `run` is called on the thread and touches only what the job owns; `done` is called by worker_collect() on the owner's thread. A job lives in
 * its owner's struct and must stay until it is collected; an owner that goes away sets its own mark and lets `done` free. One job runs at a
 * time, in the order of submission. The thread starts with the first job; its signals are blocked.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define WORKER_QUEUE_MAX 64u	   /* jobs that wait or run; above it people are told to come back */
#define WORKER_STACK (128u * 1024u)

struct worker;

struct worker_job {
	void (*run)(struct worker_job *job);  /* on the thread */
	void (*done)(struct worker_job *job); /* in worker_collect(); may submit again or free the job */
	struct worker_job *next;	      /* the worker's */
};

/* ERR_NOMEM, ERR_IO. */
int worker_new(struct worker **out) MUST_CHECK;
/* Waits for the job that runs; those that wait are dropped. Neither is told `done`: collect before when that matters. NULL is fine. */
void worker_free(struct worker *w);

/* ERR_LIMIT: queue full. ERR_IO: no thread to be had. */
int worker_submit(struct worker *w, struct worker_job *job) MUST_CHECK;

/* Readable when worker_collect() has something to do; belongs to the worker. */
int worker_fd(const struct worker *w);
void worker_collect(struct worker *w);

/* Submitted and not collected. */
u32 worker_pending(const struct worker *w);
