#include "applets/portal/sync/okta_key.h"

#include "applets/portal/auth/auth.h"
#include "applets/portal/auth/jose_sign.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/json/json.h"
#include "platform/worker.h"

#include <sodium.h>
#include <stdlib.h>

#define KID_LEN 22

struct okta_key {
	struct worker_job job;
	u8 seed[JOSE_SEED_LEN];
	struct jose_key *key;
	int rc;
	void (*done)(void *ctx, int rc, const struct okta_key_texts *t); /* NULL: cancelled */
	void *ctx;
};

static void on_thread(struct worker_job *job)
{
	struct okta_key *k = container_of(job, struct okta_key, job);

	k->rc = jose_key_make_rsa(k->seed, &k->key);
}

static int tell(struct okta_key *k)
{
	struct json_out priv = JSON_OUT, pub = JSON_OUT, bare = JSON_OUT;
	char kid[BASE64URL_SIZE(SHA256_LEN)];
	u8 digest[SHA256_LEN];

	jose_put_public(&bare, NULL, k->key, NULL);
	sha256(digest, json_text(&bare)); /* the name of a key is what it is */
	base64url_encode(kid, sizeof(kid), SPAN(digest, sizeof(digest)));
	kid[KID_LEN] = '\0';
	jose_put_private(&priv, NULL, k->key, kid);
	jose_put_public(&pub, NULL, k->key, kid);
	bool ok = json_ok(&priv) && json_ok(&pub) && json_ok(&bare);
	char *a = ok ? strndup(priv.buf, priv.len) : NULL, *b = ok ? strndup(pub.buf, pub.len) : NULL;
	int rc = a && b ? 0 : ERR_NOMEM;
	k->done(k->ctx, rc, rc ? NULL : &(struct okta_key_texts){ a, b, kid });
	if (a)
		sodium_memzero(a, strlen(a));
	free(a);
	free(b);
	json_out_free(&priv);
	json_out_free(&pub);
	json_out_free(&bare);
	return rc;
}

static void on_done(struct worker_job *job)
{
	struct okta_key *k = container_of(job, struct okta_key, job);

	if (k->done && k->rc)
		k->done(k->ctx, k->rc, NULL);
	else if (k->done)
		(void)tell(k);
	jose_key_free(k->key);
	sodium_memzero(k, sizeof(*k));
	free(k);
}

int okta_key_make(struct portal *p, void (*done)(void *ctx, int rc, const struct okta_key_texts *t), void *ctx, struct okta_key **out)
{
	struct okta_key *k = p->auth ? calloc(1, sizeof(*k)) : NULL;

	*out = NULL;
	if (!k)
		return p->auth ? ERR_NOMEM : ERR_UNSUPPORTED;
	k->job = (struct worker_job){ .run = on_thread, .done = on_done };
	k->done = done;
	k->ctx = ctx;
	rng_fill(p->rng, k->seed, sizeof(k->seed));
	int rc = worker_submit(p->auth->worker, &k->job);
	if (rc)
		free(k);
	else
		*out = k;
	return rc;
}

void okta_key_cancel(struct okta_key *k)
{
	if (k)
		k->done = NULL;
}
