/* applets/portal/auth/password.h: passwords and short codes as slow hashes (spec 60 §3.1), and what a password must look like.
 *
 * Kept is a PHC string, `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`, as real portals keep it; its own parameters are used to verify it, within
 * limits. One computation takes as long and as much memory as the profile says, so it is a job for the worker, which runs one at a time:
 *
 *	password_job_verify(&j, row ? row->hash : NULL, profile, text);   NULL: a computation all the same, so that time tells nothing
 *	j.job.done = on_verified; worker_submit(w, &j.job);
 *	on_verified(): j.rc is 0 or ERR_AUTH; password_job_wipe(&j);
 */
#pragma once

#include "core/base/rng.h"
#include "core/crypto/argon2.h"
#include "platform/worker.h"

#define PASSWORD_CHARS_MIN 10u
#define PASSWORD_CHARS_MAX 256u
#define PASSWORD_BYTES_MAX 1024u
#define PHC_SALT_LEN 16u
#define PHC_HASH_LEN 32u
#define PHC_STRLEN 160u
/* What a stored string may ask for. */
#define PHC_KIB_MAX (256u * 1024u)
#define PHC_PASSES_MAX 16u

struct password_profile {
	const char *name;
	struct argon2_params params;
	const char *statement; /* for the settings page */
};

/* The strongest whose memory is at most an eighth of what is available. */
const struct password_profile *password_profile(u64 available_bytes);

/* ERR_NOMEM. `phc` receives the string. */
int password_hash(char phc[static PHC_STRLEN], const struct password_profile *profile, const char *text, const u8 salt[static PHC_SALT_LEN])
	MUST_CHECK;
/* Constant time but for the parameters. 0, ERR_AUTH, ERR_NOMEM; ERR_MALFORMED and ERR_LIMIT: no string of ours or beyond the limits. */
int password_verify(const char *phc, const char *text) MUST_CHECK;

struct password_job {
	struct worker_job job; /* `done` is the caller's to set */
	const struct password_profile *profile;
	bool is_verifying, has_phc;
	u8 salt[PHC_SALT_LEN];
	char text[PASSWORD_BYTES_MAX + 1];
	char phc[PHC_STRLEN]; /* of a hashing job: the result */
	int rc;
};

void password_job_hash(struct password_job *j, const struct password_profile *profile, const char *text, struct rng *rng);
/* A text that is too long is refused after the same time. */
void password_job_verify(struct password_job *j, const char *phc, const struct password_profile *profile, const char *text);
void password_job_wipe(struct password_job *j);

/* What is wrong with it as a new password, in words for its owner; NULL when nothing is. No rules of composition: length, and nothing that
 * is guessed first: the person's e-mail or name, the network's name, one character or the alphabet's order, the most common ones. Each of the others may be NULL. */
const char *password_complaint(const char *text, const char *email, const char *name, const char *network);
