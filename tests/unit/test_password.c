#include "applets/portal/auth/password.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/auth/totp.h"
#include "core/base/rng.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static const struct password_profile quick = { "quick", { 1, 32, 4 }, "" };

/* ---- passwords --------------------------------------------------------------------------------------------------------------------------- */

TEST(a_phc_string_verifies_its_own_password_only)
{
	static const u8 salt[PHC_SALT_LEN] = "0123456789abcde";
	char phc[PHC_STRLEN];

	REQUIRE(password_hash(phc, &quick, "correct horse", salt) == 0);
	EXPECT(strncmp(phc, "$argon2id$v=19$m=32,t=1,p=4$MDEyMzQ1Njc4OWFiY2RlAA$", 51) == 0);
	EXPECT_EQ(password_verify(phc, "correct horse"), 0);
	EXPECT_EQ(password_verify(phc, "correct hors"), ERR_AUTH);
	EXPECT_EQ(password_verify(phc, "Correct horse"), ERR_AUTH);
	EXPECT_EQ(password_verify(phc, ""), ERR_AUTH);
}

/* made by Debian's argon2: with the parameters of a real portal, and with others */
TEST(strings_of_other_programs_are_verified)
{
	EXPECT_EQ(password_verify("$argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$joaCV3rNVXoVIuVn3Jgs1UMKA220nvJBmaxucJj/sgw", "letmein-please"), 0);
	EXPECT_EQ(password_verify("$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$JMvLDVTlQD4omw5ziXsg6Sj5SRF9P2bC", "letmein-please"), 0);
}

TEST(strings_beyond_the_limits_or_broken_are_refused)
{
	static const struct {
		const char *phc;
		int rc;
	} cases[] = {
		{ "", ERR_MALFORMED },
		{ "plain", ERR_MALFORMED },
		{ "$argon2i$v=19$m=1024,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_MALFORMED },
		{ "$argon2id$v=16$m=1024,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_MALFORMED },
		{ "$argon2id$v=19$m=99999999999999999999,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_MALFORMED },
		{ "$argon2id$v=19$m=-1,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_MALFORMED },
		{ "$argon2id$v=19$m=999999999,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_LIMIT },
		{ "$argon2id$v=19$m=1024,t=200,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_LIMIT },
		{ "$argon2id$v=19$m=1024,t=0,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_LIMIT },
		{ "$argon2id$v=19$m=1024,t=1,p=99$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_LIMIT },
		{ "$argon2id$v=19$m=1024,t=1,p=1$c2FsdA$c29tZXNhbHRzb21lc2FsdA", ERR_MALFORMED },
		{ "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$", ERR_MALFORMED },
		{ "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzb21lc2FsdA", ERR_MALFORMED },
		{ "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA=", ERR_MALFORMED },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		EXPECT_EQ(password_verify(cases[i].phc, "x"), cases[i].rc);
}

static void note(struct worker_job *job)
{
	(void)job;
}

static int run_job(struct password_job *j)
{
	struct worker *w;

	j->job.done = note;
	if (!EXPECT(worker_new(&w) == 0))
		return ERR_IO;
	EXPECT_EQ(worker_submit(w, &j->job), 0);
	while (worker_pending(w) > 0) {
		struct pollfd p = { worker_fd(w), POLLIN, 0 };
		poll(&p, 1, 60000);
		worker_collect(w);
	}
	worker_free(w);
	return j->rc;
}

TEST(jobs_hash_and_verify_on_the_small_stack_of_the_worker)
{
	static struct password_job j;
	struct rng_seeded rng;
	char phc[PHC_STRLEN], huge[PASSWORD_BYTES_MAX + 9];

	rng_seeded_init(&rng, 1);
	password_job_hash(&j, &quick, "a long enough one", &rng.rng);
	REQUIRE(run_job(&j) == 0);
	memcpy(phc, j.phc, sizeof(phc));
	password_job_verify(&j, phc, &quick, "a long enough one");
	EXPECT_EQ(run_job(&j), 0);
	password_job_verify(&j, phc, &quick, "another");
	EXPECT_EQ(run_job(&j), ERR_AUTH);
	password_job_wipe(&j);
	EXPECT_STR(j.text, "");
	EXPECT_STR(j.phc, "");

	password_job_verify(&j, NULL, &quick, "a long enough one"); /* nothing to verify: still computed, never right */
	EXPECT_EQ(run_job(&j), ERR_AUTH);
	EXPECT(j.phc[0] == '$');
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	password_job_verify(&j, phc, &quick, huge);
	EXPECT_EQ(run_job(&j), ERR_AUTH);
}

TEST(the_profile_follows_the_memory_that_is_free)
{
	EXPECT_STR(password_profile((u64)4096 << 20)->name, "full");
	EXPECT_STR(password_profile((u64)512 << 20)->name, "full");
	EXPECT_STR(password_profile((u64)511 << 20)->name, "low-memory");
	EXPECT_STR(password_profile((u64)100 << 20)->name, "least-memory");
	EXPECT_STR(password_profile(0)->name, "least-memory");
	EXPECT_EQ(password_profile(UINT64_MAX)->params.kib, 65536);
	EXPECT_EQ(password_profile(UINT64_MAX)->params.passes, 3);
	EXPECT_EQ(password_profile(UINT64_MAX)->params.lanes, 4);
}

TEST(rules_of_new_passwords)
{
	char long_one[PASSWORD_CHARS_MAX + 2];

	EXPECT(!password_complaint("tea with seven ducks", "jo@example.com", "Jo", "Acme"));
	EXPECT(!password_complaint("ωωππςστωρυι", NULL, NULL, NULL));
	EXPECT(password_complaint("short", NULL, NULL, NULL));
	EXPECT(password_complaint("ωωππςστωρ", NULL, NULL, NULL)); /* nine characters, though eighteen bytes */
	EXPECT(password_complaint("", NULL, NULL, NULL));
	EXPECT(password_complaint("Jo@Example.com", "jo@example.com", NULL, NULL));
	EXPECT(password_complaint("joanna bloggs", NULL, "Joanna Bloggs", NULL));
	EXPECT(password_complaint("Acme Berlin", NULL, NULL, "acme berlin"));
	EXPECT(password_complaint("aaaaaaaaaaaa", NULL, NULL, NULL));
	EXPECT(password_complaint("1234567890", NULL, NULL, NULL));
	EXPECT(password_complaint("zyxwvutsrqponm", NULL, NULL, NULL));
	EXPECT(password_complaint("Password123", NULL, NULL, NULL));
	EXPECT(password_complaint("bad \xff utf8 here", NULL, NULL, NULL));
	memset(long_one, 0, sizeof(long_one));
	for (u32 i = 0; i < PASSWORD_CHARS_MAX; i++)
		long_one[i] = (char)('a' + i * 7 % 26);
	EXPECT(!password_complaint(long_one, NULL, NULL, NULL));
	long_one[PASSWORD_CHARS_MAX] = 'x';
	EXPECT(password_complaint(long_one, NULL, NULL, NULL));
}

/* ---- one-time codes of an app --------------------------------------------------------------------------------------------------------------- */

static const u8 *rfc_secret(void)
{
	return (const u8 *)"12345678901234567890";
}

TEST(rfc6238_appendix_b)
{
	static const struct {
		u64 secs;
		u32 code; /* the last six of the eight digits there */
	} v[] = { { 59, 287082 }, { 1111111109, 81804 }, { 1111111111, 50471 }, { 1234567890, 5924 }, { 2000000000, 279037 },
		  { 20000000000, 353130 } };

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		EXPECT_EQ(totp_code(rfc_secret(), v[i].secs / TOTP_STEP_SECS), v[i].code);
}

TEST(a_code_is_taken_one_step_early_or_late_and_once)
{
	u64 wall = SEC(1111111111), now = 1111111111 / 30, step = 0;
	char text[16];

	for (int d = -2; d <= 2; d++) {
		snprintf(text, sizeof(text), "%06u", (unsigned)totp_code(rfc_secret(), now + (u64)(i64)d));
		EXPECT_EQ(totp_verify(rfc_secret(), text, wall, 0, &step), d >= -1 && d <= 1 ? 0 : ERR_AUTH);
		if (d >= -1 && d <= 1)
			EXPECT_EQ(step, now + (u64)(i64)d);
	}
	EXPECT_EQ(totp_verify(rfc_secret(), "050471", wall, 0, &step), 0);
	EXPECT_EQ(totp_verify(rfc_secret(), "050471", wall, step, &step), ERR_REPLAY);
	EXPECT_EQ(totp_verify(rfc_secret(), "050471", wall, step + 1, &step), ERR_REPLAY);
	EXPECT_EQ(totp_verify(rfc_secret(), " 050 471 ", wall, step - 1, &step), 0);
}

TEST(what_is_no_code_is_wrong)
{
	static const char *const bad[] = { "", "05047", "0504711", "05047a", "-50471", "050471\n", "999999" };
	u64 step;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(totp_verify(rfc_secret(), bad[i], SEC(1111111111), 0, &step), ERR_AUTH);
}

TEST(otpauth_uri_and_spelling)
{
	struct strbuf b = { 0 };
	char text[48];

	totp_uri(&b, "Acme & Söhne", "jo@example.com", rfc_secret());
	EXPECT_STR(strbuf_text(&b), "otpauth://totp/Acme%20%26%20S%C3%B6hne:jo%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer="
				    "Acme%20%26%20S%C3%B6hne");
	strbuf_free(&b);
	totp_spell(text, rfc_secret());
	EXPECT_STR(text, "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
}

TEST(a_sealed_secret_opens_for_its_actor_only)
{
	struct secrets s, other;
	struct rng_seeded rng;
	struct uuid jo = { { 1 } }, al = { { 2 } };
	char sealed[TOTP_SEALED_STRLEN];
	u8 out[TOTP_SECRET_LEN];

	rng_seeded_init(&rng, 5);
	secrets_make(&s, &rng.rng);
	secrets_make(&other, &rng.rng);
	totp_seal(sealed, rfc_secret(), &jo, &s, &rng.rng);
	REQUIRE(totp_unseal(out, sealed, &jo, &s) == 0);
	EXPECT_MEM(out, rfc_secret(), TOTP_SECRET_LEN);
	EXPECT_EQ(totp_unseal(out, sealed, &al, &s), ERR_AUTH);
	EXPECT_EQ(totp_unseal(out, sealed, &jo, &other), ERR_AUTH);
	sealed[20] = sealed[20] == 'A' ? 'B' : 'A';
	EXPECT_EQ(totp_unseal(out, sealed, &jo, &s), ERR_AUTH);
	EXPECT_EQ(totp_unseal(out, "", &jo, &s), ERR_AUTH);
}

/* ---- recovery codes and passcodes --------------------------------------------------------------------------------------------------------------- */

TEST(a_recovery_code_is_known_however_it_is_typed)
{
	struct rng_seeded rng;
	char code[RECOVERY_STRLEN], kept[RECOVERY_HASH_STRLEN], other[RECOVERY_STRLEN], other_kept[RECOVERY_HASH_STRLEN], typed[64];

	rng_seeded_init(&rng, 11);
	for (int i = 0; i < 50; i++) {
		recovery_make(&rng.rng, code, kept);
		recovery_make(&rng.rng, other, other_kept);
		EXPECT(strlen(code) == 11 && code[5] == '-' && !strstr(kept, code));
		EXPECT(recovery_matches(code, kept));
		EXPECT(!recovery_matches(other, kept));
		snprintf(typed, sizeof(typed), "  %.5s %s", code, code + 6);
		for (char *p = typed; *p; p++)
			*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
		for (char *p = typed; *p; p++)
			*p = *p == 'O' ? '0' : *p == 'L' ? '1' : *p;
		EXPECT(recovery_matches(typed, kept));
	}
	EXPECT(!recovery_matches("", kept));
	EXPECT(!recovery_matches("abcde-fghijk", kept));
	EXPECT(!recovery_matches(code, ""));
	EXPECT(!recovery_matches(code, "$"));
}

TEST(spec60_23_passcodes_have_six_unbiased_characters)
{
	struct rng_seeded rng;
	u32 count[256] = { 0 };
	char code[PASSCODE_LEN + 1];

	rng_seeded_init(&rng, 3);
	for (u32 i = 0; i < 34000; i++) {
		passcode_make(&rng.rng, code);
		EXPECT_EQ(strlen(code), 6);
		for (const char *p = code; *p; p++)
			count[(u8)*p]++;
	}
	EXPECT_EQ(strlen(PASSCODE_ALPHABET), 34);
	for (const char *p = PASSCODE_ALPHABET; *p; p++)
		EXPECT(count[(u8)*p] > 5500 && count[(u8)*p] < 6500);
	EXPECT_EQ(count['l'] + count['0'], 0);
}

TEST(a_passcode_is_read_however_it_is_typed)
{
	static const struct {
		const char *typed, *want;
	} cases[] = { { "abc123", "abc123" }, { " ABC 123 ", "abc123" }, { "abc12", "" }, { "abc1234", "" }, { "abc12l", "" }, { "abc12\xc3\xa9", "" }, { "", "" } };
	char out[PASSCODE_LEN + 1];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		passcode_normalise(cases[i].typed, out);
		EXPECT_STR(out, cases[i].want);
	}
}

TEST(a_link_opens_its_row_once_and_in_time)
{
	struct one_time_link row, other;
	struct rng_seeded rng;
	struct uuid account, id;
	u8 secret[LINK_SECRET_LEN];
	char text[LINK_TEXT_LEN + 1], text2[LINK_TEXT_LEN + 1];

	rng_seeded_init(&rng, 9);
	entity_init(KIND_LINK, &row);
	entity_init(KIND_LINK, &other);
	row.e.account_id.b[0] = 7;
	row.expires_at = 1000;
	REQUIRE(link_make(&row, &rng.rng, text) == 0);
	REQUIRE(link_make(&other, &rng.rng, text2) == 0);
	EXPECT_EQ(strlen(text), LINK_TEXT_LEN);
	EXPECT(!strstr(text, row.hash));
	REQUIRE(link_parse(text, &account, &id, secret) == 0);
	EXPECT(uuid_eq(&account, &row.e.account_id) && uuid_eq(&id, &row.e.id));
	EXPECT_EQ(link_check(&row, secret, 999999), 0);
	EXPECT_EQ(link_check(&row, secret, 1000000), ERR_EXPIRED);
	EXPECT_EQ(link_check(&other, secret, 0), ERR_AUTH);
	row.used_at = 5;
	EXPECT_EQ(link_check(&row, secret, 999999), ERR_EXPIRED);
	secret[3] ^= 1;
	EXPECT_EQ(link_check(&row, secret, 999999), ERR_AUTH);
	text[LINK_TEXT_LEN - 1] = '\0';
	EXPECT_EQ(link_parse(text, &account, &id, secret), ERR_MALFORMED);
	EXPECT_EQ(link_parse("", &account, &id, secret), ERR_MALFORMED);
	entity_deinit(KIND_LINK, &row);
	entity_deinit(KIND_LINK, &other);
}
