#include "platform/worker.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <pthread.h>

struct square {
	struct worker_job job;
	int in, out;
	pthread_t ran_on;
	struct tally *tally;
};

struct tally {
	int done, order[WORKER_QUEUE_MAX];
	struct worker *again;
	pthread_mutex_t gate;
};

static void run(struct worker_job *job)
{
	struct square *s = container_of(job, struct square, job);

	pthread_mutex_lock(&s->tally->gate);
	pthread_mutex_unlock(&s->tally->gate);
	s->ran_on = pthread_self();
	s->out = s->in * s->in;
}

static void done(struct worker_job *job)
{
	struct square *s = container_of(job, struct square, job);

	s->tally->order[s->tally->done++] = s->in;
	if (s->tally->again) {
		struct worker *w = s->tally->again;
		s->tally->again = NULL;
		s->in = s->out;
		EXPECT_EQ(worker_submit(w, job), 0);
	}
}

static void collect_until(struct worker *w, const struct tally *t, int n)
{
	while (t->done < n) {
		struct pollfd p = { worker_fd(w), POLLIN, 0 };
		if (!EXPECT(poll(&p, 1, 60000) == 1))
			return;
		worker_collect(w);
	}
}

TEST(jobs_run_elsewhere_and_are_done_here_in_order)
{
	struct tally t = { .gate = PTHREAD_MUTEX_INITIALIZER };
	struct square s[8] = { 0 };
	struct worker *w;

	REQUIRE(worker_new(&w) == 0);
	for (int i = 0; i < 8; i++) {
		s[i] = (struct square){ .job = { run, done, NULL }, .in = i, .tally = &t };
		EXPECT_EQ(worker_submit(w, &s[i].job), 0);
	}
	collect_until(w, &t, 8);
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(t.order[i], i);
		EXPECT_EQ(s[i].out, i * i);
		EXPECT(!pthread_equal(s[i].ran_on, pthread_self()));
	}
	EXPECT_EQ(worker_pending(w), 0);
	worker_free(w);
}

TEST(done_may_submit_again)
{
	struct tally t = { .gate = PTHREAD_MUTEX_INITIALIZER };
	struct square s = { .job = { run, done, NULL }, .in = 3, .tally = &t };
	struct worker *w;

	REQUIRE(worker_new(&w) == 0);
	t.again = w;
	EXPECT_EQ(worker_submit(w, &s.job), 0);
	collect_until(w, &t, 2);
	EXPECT_EQ(s.out, 81);
	worker_free(w);
}

TEST(the_queue_has_a_limit_and_an_end_with_jobs_waiting_is_clean)
{
	struct tally t = { .gate = PTHREAD_MUTEX_INITIALIZER };
	static struct square s[WORKER_QUEUE_MAX + 1];
	struct worker *w;

	REQUIRE(worker_new(&w) == 0);
	pthread_mutex_lock(&t.gate);
	for (u32 i = 0; i <= WORKER_QUEUE_MAX; i++) {
		s[i] = (struct square){ .job = { run, done, NULL }, .in = (int)i, .tally = &t };
		EXPECT_EQ(worker_submit(w, &s[i].job), i < WORKER_QUEUE_MAX ? 0 : ERR_LIMIT);
	}
	EXPECT_EQ(worker_pending(w), WORKER_QUEUE_MAX);
	pthread_mutex_unlock(&t.gate);
	worker_free(w);
	EXPECT_EQ(t.done, 0);
}

TEST(a_worker_without_work_has_no_thread)
{
	struct worker *w;

	REQUIRE(worker_new(&w) == 0);
	worker_collect(w);
	EXPECT_EQ(worker_pending(w), 0);
	worker_free(w);
	worker_free(NULL);
}
