#include "applets/common/health.h"

#include "core/base/err.h"

#include <stdlib.h>

struct health {
	struct httpd *httpd;
	bool (*is_ready)(void *ctx);
	void *ctx;
};

static u16 answer(void *ctx, const struct httpd_request *q, struct wr *body)
{
	const struct health *h = ctx;

	(void)body;
	if (httpd_is(q, "GET", "/healthz"))
		return 200;
	if (httpd_is(q, "GET", "/readyz"))
		return !h->is_ready || h->is_ready(h->ctx) ? 200 : 503;
	return 404;
}

struct health *health_open(struct loop *l, const struct endpoint *listen, bool (*is_ready)(void *ctx), void *ctx, int *rc)
{
	struct health *h = calloc(1, sizeof(*h));

	*rc = ERR_NOMEM;
	if (!h)
		return NULL;
	*h = (struct health){ httpd_open(l, listen, answer, h, rc), is_ready, ctx };
	if (h->httpd)
		return h;
	free(h);
	return NULL;
}

void health_close(struct health *h)
{
	if (!h)
		return;
	httpd_close(h->httpd);
	free(h);
}

int health_local(const struct health *h, struct endpoint *out)
{
	return httpd_local(h->httpd, out);
}
