#include "applets/portal/copying.h"

#include "applets/portal/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct copying {
	struct copying **place;
	struct portal *portal;
	struct loop *loop;
	struct loop_task task;
	struct store_backup *backup;
	void (*done)(void *ctx, const char *why);
	void *ctx;
};

static void on_task(void *ctx, u64 now)
{
	struct copying *c = ctx;
	void (*done)(void *ctx, const char *why) = c->done;
	int rc = store_backup_step(c->backup);

	(void)now;
	ctx = c->ctx;
	if (rc > 0) {
		loop_yield(c->loop);
		loop_task_queue(c->loop, &c->task);
		return;
	}
	const char *why = rc ? store_reason(c->portal->store) : NULL;
	copying_free(c);
	done(ctx, why);
}

int copying_start(struct copying **out, struct portal *p, struct loop *loop, const char *dir, void (*done)(void *ctx, const char *why), void *ctx)
{
	char path[STATE_PATH_MAX];
	struct copying *c;

	if (*out)
		return ERR_AGAIN;
	if (!state_path(dir, COPYING_NAME, path))
		return ERR_LIMIT;
	(void)unlink(path); /* of somebody who was killed before he took it */
	c = calloc(1, sizeof(*c));
	if (!c)
		return ERR_NOMEM;
	*c = (struct copying){ .place = out, .portal = p, .loop = loop, .done = done, .ctx = ctx, .task = { .cb = on_task, .ctx = c } };
	int rc = store_backup_begin(p->store, path, &c->backup);
	if (rc) {
		free(c);
		return rc;
	}
	*out = c;
	loop_task_queue(loop, &c->task);
	return 0;
}

void copying_free(struct copying *c)
{
	if (!c)
		return;
	loop_task_cancel(c->loop, &c->task);
	store_backup_end(c->backup);
	*c->place = NULL;
	free(c);
}
