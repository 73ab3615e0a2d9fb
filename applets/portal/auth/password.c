#include "applets/portal/auth/password.h"

#include "core/base/cursor.h"
#include "core/base/encode.h"
#include "core/base/utf8.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_SHARE 8u /* of what is available, one such part may be taken for a moment */

static const struct password_profile profiles[] = {
	{ "full", { 3, 65536, 4 }, "Argon2id with 64 MiB, three passes: this machine has memory enough for the full protection." },
	{ "low-memory", { 2, 19456, 1 }, "Argon2id with 19 MiB, two passes: little memory is free on this machine." },
	{ "least-memory", { 5, 7168, 1 }, "Argon2id with 7 MiB, five passes: very little memory is free on this machine." },
};

const struct password_profile *password_profile(u64 available_bytes)
{
	for (size_t i = 0; i + 1 < ARRAY_LEN(profiles); i++)
		if ((u64)profiles[i].params.kib * 1024 * MEMORY_SHARE <= available_bytes)
			return &profiles[i];
	return &profiles[ARRAY_LEN(profiles) - 1];
}

/* ---- the PHC string ------------------------------------------------------------------------------------------------------------------ */

struct phc {
	struct argon2_params params;
	u8 salt[64], hash[64];
	u32 salt_len, hash_len;
};

/* Standard alphabet without padding: base64url with two letters exchanged. */
static void put_base64(struct wr *w, struct span bytes)
{
	char text[BASE64URL_SIZE(64)];
	int n = base64url_encode(text, sizeof(text), bytes);

	for (int i = 0; i < n; i++)
		text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	wr_str(w, text);
}

static int get_base64(u8 *out, size_t cap, struct span text)
{
	char url[BASE64URL_SIZE(64)];

	if (text.n >= sizeof(url))
		return ERR_LIMIT;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '-' || text.p[i] == '_')
			return ERR_MALFORMED;
		url[i] = (char)(text.p[i] == '+' ? '-' : text.p[i] == '/' ? '_' : text.p[i]);
	}
	return base64url_decode(out, cap, SPAN(url, text.n));
}

static bool take(const char **p, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*p, word, n) != 0)
		return false;
	*p += n;
	return true;
}

static bool take_number(const char **p, u32 *out)
{
	const char *start = *p;
	u64 v = 0;

	while (isdigit((unsigned char)**p) && *p - start < 9)
		v = v * 10 + (u64)(*(*p)++ - '0');
	*out = (u32)v;
	return *p > start && (*start != '0' || *p == start + 1);
}

static int phc_parse(struct phc *out, const char *text)
{
	const char *p = text;

	if (!take(&p, "$argon2id$v=19$m=") || !take_number(&p, &out->params.kib) || !take(&p, ",t=") ||
	    !take_number(&p, &out->params.passes) || !take(&p, ",p=") || !take_number(&p, &out->params.lanes) || !take(&p, "$"))
		return ERR_MALFORMED;
	const char *end = strchr(p, '$');
	if (!end)
		return ERR_MALFORMED;
	int salt = get_base64(out->salt, sizeof(out->salt), SPAN(p, (size_t)(end - p)));
	int hash = get_base64(out->hash, sizeof(out->hash), SPAN(end + 1, strlen(end + 1)));
	if (salt < 8 || hash < 16)
		return ERR_MALFORMED;
	out->salt_len = (u32)salt;
	out->hash_len = (u32)hash;
	if (out->params.kib > PHC_KIB_MAX || out->params.passes > PHC_PASSES_MAX || argon2_memory(&out->params) == 0)
		return ERR_LIMIT;
	return 0;
}

static int compute(u8 *out, size_t n, const struct argon2_params *params, const char *text, struct span salt)
{
	size_t bytes = argon2_memory(params);
	void *memory = aligned_alloc(ARGON2_ALIGN, bytes);
	int rc = ERR_NOMEM;

	if (memory) {
		rc = argon2id(out, n, params, SPAN(text, strlen(text)), salt, SPAN_NONE, SPAN_NONE, memory);
		sodium_memzero(memory, 4096); /* the first blocks depend on nothing but the password and the salt */
	}
	free(memory);
	return rc;
}

int password_hash(char phc[static PHC_STRLEN], const struct password_profile *profile, const char *text, const u8 salt[static PHC_SALT_LEN])
{
	const struct argon2_params *p = &profile->params;
	u8 hash[PHC_HASH_LEN];
	char head[64];
	struct wr w = wr_init(phc, PHC_STRLEN - 1);

	phc[0] = '\0';
	int rc = compute(hash, sizeof(hash), p, text, SPAN(salt, PHC_SALT_LEN));
	if (rc)
		return rc;
	snprintf(head, sizeof(head), "$argon2id$v=19$m=%u,t=%u,p=%u$", (unsigned)p->kib, (unsigned)p->passes, (unsigned)p->lanes);
	wr_str(&w, head);
	put_base64(&w, SPAN(salt, PHC_SALT_LEN));
	wr_str(&w, "$");
	put_base64(&w, SPAN(hash, sizeof(hash)));
	*w.p = '\0';
	sodium_memzero(hash, sizeof(hash));
	return 0;
}

int password_verify(const char *phc, const char *text)
{
	struct phc want;
	u8 hash[sizeof(want.hash)];
	int rc = phc_parse(&want, phc);

	rc = rc ? rc : compute(hash, want.hash_len, &want.params, text, SPAN(want.salt, want.salt_len));
	if (rc == 0 && sodium_memcmp(hash, want.hash, want.hash_len) != 0)
		rc = ERR_AUTH;
	sodium_memzero(hash, sizeof(hash));
	return rc;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------------------------------ */

static void run(struct worker_job *job)
{
	struct password_job *j = container_of(job, struct password_job, job);

	if (!j->is_verifying) {
		j->rc = password_hash(j->phc, j->profile, j->text, j->salt);
	} else if (j->has_phc) {
		j->rc = password_verify(j->phc, j->text);
	} else {
		int rc = password_hash(j->phc, j->profile, j->text, j->salt);
		j->rc = rc ? rc : ERR_AUTH;
	}
}

static void job_init(struct password_job *j, const struct password_profile *profile, const char *text)
{
	void (*done)(struct worker_job *) = j->job.done;
	size_t n = strlen(text);

	memset(j, 0, sizeof(*j));
	j->job.done = done;
	j->job.run = run;
	j->profile = profile;
	if (n <= PASSWORD_BYTES_MAX)
		memcpy(j->text, text, n + 1);
}

void password_job_hash(struct password_job *j, const struct password_profile *profile, const char *text, struct rng *rng)
{
	job_init(j, profile, text);
	rng_fill(rng, j->salt, sizeof(j->salt));
}

void password_job_verify(struct password_job *j, const char *phc, const struct password_profile *profile, const char *text)
{
	job_init(j, profile, text);
	j->is_verifying = true;
	j->has_phc = phc && strlen(phc) < sizeof(j->phc) && strlen(text) <= PASSWORD_BYTES_MAX;
	if (j->has_phc)
		memcpy(j->phc, phc, strlen(phc) + 1);
}

void password_job_wipe(struct password_job *j)
{
	sodium_memzero(j->text, sizeof(j->text));
	sodium_memzero(j->phc, sizeof(j->phc));
}

/* ---- rules ------------------------------------------------------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
	for (; *a && tolower((unsigned char)*a) == tolower((unsigned char)*b); a++, b++)
		;
	return *a == *b;
}

/* Each character is the one before, or the next one up or down, all the way. */
static bool is_a_run(const char *s)
{
	int step = s[1] - s[0];

	if (step < -1 || step > 1)
		return false;
	for (; s[1]; s++) {
		bool wraps = (s[0] == '9' && s[1] == '0') || (s[0] == '0' && s[1] == '9');
		if (s[1] - s[0] != step && !wraps)
			return false;
	}
	return true;
}

/* From public lists of what is tried first; those shorter than PASSWORD_CHARS_MIN need no place here. */
static const char *const common[] = {
	"1q2w3e4r5t", "1qaz2wsx3edc", "password12", "password123", "password1234", "passwordpassword", "qwertyuiop", "qwertyuiop123",
	"qwerty12345", "qwerty123456", "asdfghjkl123", "zaq12wsxcde3", "adminadmin", "administrator", "letmeinplease", "iloveyou12",
	"iloveyou123", "welcome123", "welcome1234", "changeme123", "changemenow", "1234512345", "1212121212", "0987654321", "q1w2e3r4t5",
	"abcd123456", "abc1234567", "123456789a", "a123456789", "football123", "basketball", "motherfucker", "correcthorsebatterystaple",
	"emberbox123", "firezone123", "11223344556677", "qazwsxedcrfv", "mypassword", "mypassword1", "thisispassword", "p@ssw0rd123", "passw0rd123",
};

const char *password_complaint(const char *text, const char *email, const char *name, const char *network)
{
	size_t bytes = strlen(text), chars = 0;

	if (!utf8_is_valid(SPAN(text, bytes)))
		return "The password has characters that cannot be read. Type it again.";
	for (size_t i = 0; i < bytes; i++)
		chars += ((u8)text[i] & 0xc0) != 0x80;
	if (chars < PASSWORD_CHARS_MIN)
		return "Use at least 10 characters. A few words in a row are easy to remember and hard to guess.";
	if (chars > PASSWORD_CHARS_MAX || bytes > PASSWORD_BYTES_MAX)
		return "Use at most 256 characters.";
	if ((email && is_same(text, email)) || (name && is_same(text, name)) || (network && is_same(text, network)))
		return "Choose something else than your address or name: that is what others try first.";
	if (is_a_run(text))
		return "A row of equal or neighbouring characters is tried first. Choose something else.";
	for (size_t i = 0; i < ARRAY_LEN(common); i++)
		if (is_same(text, common[i]))
			return "This password is among the most common ones. Choose something else.";
	return NULL;
}
