/* OpenID Connect against a provider that lies in every way it can; loopback, real loop. */
#include "applets/portal/auth/jose_sign.h"
#include "applets/portal/auth/oidc.h"
#include "core/base/encode.h"
#include "core/crypto/hash.h"
#include "core/http/url.h"
#include "core/json/json.h"
#include "tests/unit/http_peer.h"
#include "tests/unit/test.h"

#include <stdio.h>

static struct fixture {
	struct loop *loop;
	struct http_peer peer;
	struct fetcher *fetcher;
	struct oidc *oidc;
	struct oidc_client client;
	struct oidc_secrets secrets;
	struct jose_key *key, *other_key;
	/* how the provider misbehaves */
	const char *issuer_in_token, *audience, *extra_claims, *token_error, *info_sub, *kid, *discovery;
	bool signs_with_other_key, publishes_other_key, no_nonce, wrong_nonce, is_basic_only, no_email_in_token, not_found_keys;
	i64 expires_in;
	u32 discoveries, key_sets, tokens, infos;
	char base[60], token_form[2000], token_auth[500], nonce[100], challenge[100];
	/* what came out */
	u32 done;
	int error;
	char why[400], url[3000], email[300], name[300], idp_id[300], issuer[300], given_name[300];
} f;

static void put_keys(struct strbuf *out)
{
	struct json_out o = JSON_OUT;

	json_open(&o, NULL);
	json_open_array(&o, "keys");
	jose_put_public(&o, NULL, f.publishes_other_key ? f.other_key : f.key, f.kid);
	json_close_array(&o);
	json_close(&o);
	strbuf_printf(out, "HTTP/1.1 %s\r\nCache-Control: public, max-age=600\r\nContent-Length: %zu\r\n\r\n%.*s", f.not_found_keys ? "404 Not Found" : "200 OK",
		      o.len, (int)o.len, o.buf);
	json_out_free(&o);
}

static void put_token(struct strbuf *out)
{
	struct json_out o = JSON_OUT;
	struct strbuf token = { 0 }, body = { 0 };
	char header[100];
	u64 now = sys_wall() / NSEC_PER_SEC;

	json_open(&o, NULL);
	json_put_str(&o, "iss", f.issuer_in_token ? f.issuer_in_token : f.base);
	json_put_str(&o, "aud", f.audience ? f.audience : "me");
	json_put_str(&o, "sub", "u1");
	json_put_i64(&o, "exp", (i64)now + f.expires_in);
	json_put_u64(&o, "iat", now);
	if (!f.no_nonce)
		json_put_str(&o, "nonce", f.wrong_nonce ? "x" : f.nonce);
	if (!f.no_email_in_token)
		json_put_str(&o, "email", "jo@acme.example");
	json_close(&o);
	if (f.extra_claims) {
		o.len--;
		struct strbuf b = { 0 };
		strbuf_printf(&b, "%.*s,%s}", (int)o.len, o.buf, f.extra_claims);
		snprintf(header, sizeof(header), "{\"kid\":\"%s\"}", f.kid);
		EXPECT_EQ(jws_sign(f.signs_with_other_key ? f.other_key : f.key, SPAN(header, strlen(header)), strbuf_span(&b), &token), 0);
		strbuf_free(&b);
	} else {
		snprintf(header, sizeof(header), "{\"kid\":\"%s\"}", f.kid);
		EXPECT_EQ(jws_sign(f.signs_with_other_key ? f.other_key : f.key, SPAN(header, strlen(header)), json_text(&o), &token), 0);
	}
	strbuf_printf(&body, "{\"token_type\":\"Bearer\",\"access_token\":\"at\",\"id_token\":\"%s\"}", strbuf_text(&token));
	http_peer_ok(out, strbuf_text(&body));
	strbuf_free(&body);
	strbuf_free(&token);
	json_out_free(&o);
}

static void answer(struct http_peer *p, const char *target, const struct http_head *head, struct span body, struct strbuf *out)
{
	char text[1500];

	(void)p;
	if (strcmp(target, "/.well-known/openid-configuration") == 0) {
		f.discoveries++;
		snprintf(text, sizeof(text),
			 "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/auth?x=1\",\"token_endpoint\":\"%s/token\",\"jwks_uri\":\"%s/keys\","
			 "\"userinfo_endpoint\":\"%s/me\",\"token_endpoint_auth_methods_supported\":[%s]}",
			 f.base, f.base, f.base, f.base, f.base, f.is_basic_only ? "\"client_secret_basic\"" : "\"client_secret_basic\",\"client_secret_post\"");
		http_peer_ok(out, f.discovery ? f.discovery : text);
	} else if (strcmp(target, "/keys") == 0) {
		f.key_sets++;
		put_keys(out);
	} else if (strcmp(target, "/token") == 0) {
		f.tokens++;
		snprintf(f.token_form, sizeof(f.token_form), "%.*s", (int)body.n, (const char *)body.p);
		struct span auth = http_field(head, "authorization");
		snprintf(f.token_auth, sizeof(f.token_auth), "%.*s", (int)auth.n, auth.n ? (const char *)auth.p : "");
		if (f.token_error)
			strbuf_printf(out, "HTTP/1.1 400 Bad Request\r\nContent-Length: %zu\r\n\r\n%s", strlen(f.token_error), f.token_error);
		else
			put_token(out);
	} else if (strcmp(target, "/me") == 0) {
		f.infos++;
		snprintf(text, sizeof(text), "{\"sub\":\"%s\",\"email\":\"other@acme.example\",\"name\":\"Jo Doe\"}", f.info_sub ? f.info_sub : "u1");
		http_peer_ok(out, text);
	} else {
		strbuf_puts(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	}
}

static void on_done(void *ctx, const struct oidc_result *r)
{
	(void)ctx;
	f.done++;
	f.error = r->error;
	snprintf(f.why, sizeof(f.why), "%s", r->why);
	snprintf(f.url, sizeof(f.url), "%s", r->url ? r->url : "");
	const struct oidc_profile none = { 0 }, *p = r->profile ? r->profile : &none;
	snprintf(f.email, sizeof(f.email), "%s", p->email ? p->email : "");
	snprintf(f.name, sizeof(f.name), "%s", p->name ? p->name : "");
	snprintf(f.idp_id, sizeof(f.idp_id), "%s", p->idp_id ? p->idp_id : "");
	snprintf(f.issuer, sizeof(f.issuer), "%s", p->issuer ? p->issuer : "");
}

static bool begin(void)
{
	static const u8 seeds[2][JOSE_SEED_LEN] = { { 1 }, { 2 } };
	struct loop_clock clock = { sys_clock_now, sys_clock_wall, NULL };
	struct auth_provider row = { .type = PROVIDER_OIDC, .client_id = "me", .client_secret = "s&=+ :" };
	char discovery[120];

	memset(&f, 0, sizeof(f));
	f.kid = "k1";
	f.expires_in = 300;
	f.loop = loop_new(&clock);
	f.peer.answer = answer;
	if (!EXPECT(http_peer_start(&f.peer, f.loop, NULL)) || !EXPECT(!jose_key_make_ec(seeds[0], &f.key) && !jose_key_make_ec(seeds[1], &f.other_key)))
		return false;
	snprintf(f.base, sizeof(f.base), "http://127.0.0.1:%u", f.peer.local.port);
	f.fetcher = fetcher_new(&(struct fetcher_config){ .loop = f.loop, .rng = sys_rng(), .allow_internal = true });
	f.oidc = oidc_new(&(struct oidc_config){ .loop = f.loop, .rng = sys_rng(), .fetcher = f.fetcher, .web_url = "https://portal.example/" });
	snprintf(discovery, sizeof(discovery), "%s/.well-known/openid-configuration", f.base);
	row.discovery_document_uri = discovery;
	row.issuer = f.base;
	oidc_draw(f.oidc, &f.secrets);
	return EXPECT_EQ(oidc_client_of(f.oidc, &row, &f.client), 0);
}

static void end(void)
{
	oidc_free(f.oidc);
	fetcher_free(f.fetcher);
	http_peer_stop(&f.peer);
	loop_free(f.loop);
	jose_key_free(f.key);
	jose_key_free(f.other_key);
}

static void run(void)
{
	u64 end_at = sys_now() + SEC(20);
	u32 before = f.done;

	while (f.done == before && sys_now() < end_at)
		loop_turn(f.loop, sys_now() + MSEC(20));
	EXPECT_EQ(f.done, before + 1);
}

static void there(const char *prompt)
{
	struct oidc_job *j;

	EXPECT_EQ(oidc_begin(f.oidc, &f.client, &f.secrets, prompt, on_done, NULL, &j), 0);
	run();
	struct span query = SPAN(strchr(f.url, '?') ? strchr(f.url, '?') + 1 : "", 0);
	query.n = strlen((const char *)query.p);
	if (f.url[0])
		EXPECT(!form_get(query, "nonce", f.nonce, sizeof(f.nonce)) && !form_get(query, "code_challenge", f.challenge, sizeof(f.challenge)));
}

static void back(void)
{
	struct oidc_job *j;

	EXPECT_EQ(oidc_finish(f.oidc, &f.client, f.secrets.verifier, "c0de&", on_done, NULL, &j), 0);
	run();
}

TEST(spec60_25_oidc_there_and_back_with_pkce_and_nonce)
{
	char verifier[100], challenge[100];
	u8 digest[SHA256_LEN];

	if (begin()) {
		there("select_account");
		EXPECT_EQ(f.error, 0);
		EXPECT(strncmp(f.url, f.base, strlen(f.base)) == 0 && strstr(f.url, "/auth?x=1&response_type=code&client_id=me&") != NULL);
		EXPECT(strstr(f.url, "redirect_uri=https%3A%2F%2Fportal.example%2Fauth%2Foidc%2Fcallback&scope=openid+email+profile&") != NULL);
		EXPECT(strstr(f.url, "&code_challenge_method=S256&prompt=select_account") != NULL);
		EXPECT(strlen(f.secrets.state) == 43 && strstr(f.url, f.secrets.state) && !strstr(f.url, f.secrets.verifier));
		back();
		EXPECT_STR(f.why, "");
		EXPECT_STR(f.email, "jo@acme.example"); /* the token's, not userinfo's */
		EXPECT_STR(f.name, "Jo Doe");
		EXPECT_STR(f.idp_id, "u1");
		EXPECT_STR(f.issuer, f.base);
		EXPECT(strstr(f.token_form, "grant_type=authorization_code&code=c0de%26&") != NULL);
		EXPECT(strstr(f.token_form, "client_id=me&client_secret=s%26%3D%2B+%3A") != NULL);
		EXPECT_EQ(form_get(SPAN(f.token_form, strlen(f.token_form)), "code_verifier", verifier, sizeof(verifier)), 0);
		sha256(digest, SPAN(verifier, strlen(verifier)));
		base64url_encode(challenge, sizeof(challenge), SPAN(digest, 32));
		EXPECT_STR(challenge, f.challenge);
		EXPECT_EQ(f.discoveries, 1); /* the second time from the cache, keys too */
		back();
		EXPECT(f.error == 0 && f.discoveries == 1 && f.key_sets == 1);
	}
	end();
}

TEST(oidc_secret_in_the_header_where_the_provider_wants_it)
{
	if (begin()) {
		f.is_basic_only = true;
		there(NULL);
		EXPECT(strstr(f.url, "prompt") == NULL);
		back();
		EXPECT_EQ(f.error, 0);
		EXPECT_STR(f.token_auth, "Basic bWU6cyUyNiUzRCUyQislM0E=");
		EXPECT(strstr(f.token_form, "client_secret") == NULL);
	}
	end();
}

/* One lie at a time. */
static void refused(int error, const char *why)
{
	there(NULL);
	back();
	if (f.error != error || !strstr(f.why, why))
		test_fail(__FILE__, __LINE__, "%s: got %d, '%s'", why, f.error, f.why);
}

#define LIE(setting, error, why)            \
	do {                                \
		if (begin()) {              \
			setting;            \
			refused(error, why); \
		}                           \
		end();                      \
	} while (0)

TEST(spec60_25_oidc_lies_are_found)
{
	LIE(f.issuer_in_token = "https://evil.example", ERR_DENIED, "issuer");
	LIE(f.audience = "you", ERR_DENIED, "aud");
	LIE(f.expires_in = -31, ERR_DENIED, "exp");
	LIE(f.no_nonce = true, ERR_DENIED, "nonce");
	LIE(f.wrong_nonce = true, ERR_DENIED, "nonce");
	LIE(f.signs_with_other_key = true, ERR_DENIED, "signature");
	LIE(f.token_error = "{\"error\":\"invalid_client\"}", ERR_DENIED, "invalid_client");
	LIE(f.token_error = "<html>", ERR_DENIED, "status 400");
	LIE(f.not_found_keys = true, ERR_MALFORMED, "404");
	LIE(f.no_email_in_token = true; f.info_sub = "u2", ERR_MALFORMED, "e-mail");
	if (begin()) { /* another's userinfo is not used */
		f.info_sub = "u2";
		there(NULL);
		back();
		EXPECT_STR(f.name, "jo@acme.example");
	}
	end();
	if (begin()) {
		f.no_email_in_token = true;
		there(NULL);
		back();
		EXPECT_STR(f.email, "other@acme.example");
	}
	end();
}

TEST(oidc_bad_discovery_documents)
{
	LIE(f.discovery = "no JSON", ERR_MALFORMED, "discovery");
	LIE(f.discovery = "{}", ERR_MALFORMED, "discovery");
	LIE(f.discovery = "{\"issuer\":\"x\",\"authorization_endpoint\":\"javascript:alert(1)\",\"token_endpoint\":\"http://h/\",\"jwks_uri\":\"http://h/\"}", ERR_MALFORMED,
	    "discovery");
	LIE(f.discovery = "{\"issuer\":\"https://other\",\"authorization_endpoint\":\"http://h/\",\"token_endpoint\":\"http://h/\",\"jwks_uri\":\"http://h/\"}", ERR_DENIED,
	    "another name");
	if (begin()) {
		snprintf(f.client.discovery, sizeof(f.client.discovery), "%s/nothing", f.base);
		there(NULL);
		EXPECT(f.error != 0 && strstr(f.why, "404"));
	}
	end();
}

TEST(oidc_keys_may_change_at_any_time)
{
	if (begin()) {
		there(NULL);
		back();
		EXPECT_EQ(f.error, 0);
		/* a new key under a new name; the cached set is younger than OIDC_KEYS_PAUSE, so nothing is asked */
		f.kid = "k2";
		f.publishes_other_key = f.signs_with_other_key = true;
		back();
		EXPECT(f.error == ERR_DENIED && strstr(f.why, "unknown key"));
		EXPECT_EQ(f.key_sets, 1);
		u64 until = sys_now() + OIDC_KEYS_PAUSE;
		while (sys_now() < until)
			loop_turn(f.loop, until);
		back();
		EXPECT_EQ(f.error, 0);
		EXPECT_EQ(f.key_sets, 2);
	}
	end();
}

TEST(oidc_waiting_sign_ins_are_bounded_and_can_leave)
{
	struct oidc_job *j[OIDC_JOBS_MAX + 1];

	if (begin()) {
		for (u32 i = 0; i < OIDC_JOBS_MAX; i++)
			EXPECT_EQ(oidc_begin(f.oidc, &f.client, &f.secrets, NULL, on_done, NULL, &j[i]), 0);
		EXPECT_EQ(oidc_begin(f.oidc, &f.client, &f.secrets, NULL, on_done, NULL, &j[OIDC_JOBS_MAX]), ERR_LIMIT);
		oidc_cancel(j[3]);
		run();
		EXPECT_EQ(f.error, 0);
	}
	end();
}

TEST(oidc_a_state_is_taken_once)
{
	if (begin()) {
		EXPECT(oidc_take_state(f.oidc, "a", SEC(10)));
		EXPECT(!oidc_take_state(f.oidc, "a", SEC(11)));
		EXPECT(oidc_take_state(f.oidc, "b", SEC(11)));
		EXPECT(oidc_take_state(f.oidc, "a", SEC(400))); /* its cookie is long gone */
	}
	end();
}

/* --- whom rows mean ---------------------------------------------------------------------------------------------------------------------------- */

TEST(oidc_clients_of_each_kind)
{
	struct oidc *o = oidc_new(&(struct oidc_config){ .web_url = "https://p/", .google_client_id = "g", .google_client_secret = "gs" });
	struct oidc_client c;
	struct auth_provider p = { .type = PROVIDER_GOOGLE, .issuer = "https://accounts.google.com" };

	EXPECT_EQ(oidc_client_of(o, &p, &c), 0);
	EXPECT_STR(c.discovery, "https://accounts.google.com/.well-known/openid-configuration");
	EXPECT_STR(c.client_id, "g");
	p = (struct auth_provider){ .type = PROVIDER_ENTRA, .issuer = "https://login.microsoftonline.com/t/v2.0" };
	EXPECT_EQ(oidc_client_of(o, &p, &c), ERR_UNSUPPORTED); /* the operator has not registered this portal there */
	p.client_id = "e";
	EXPECT_EQ(oidc_client_of(o, &p, &c), 0);
	EXPECT_STR(c.discovery, "https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration");
	p = (struct auth_provider){ .type = PROVIDER_OKTA, .okta_domain = "acme.okta.com", .client_id = "k", .client_secret = "s" };
	EXPECT_EQ(oidc_client_of(o, &p, &c), 0);
	EXPECT_STR(c.discovery, "https://acme.okta.com/.well-known/openid-configuration");
	EXPECT_STR(c.redirect_uri, "https://p/auth/oidc/callback");
	p = (struct auth_provider){ .type = PROVIDER_OIDC, .client_id = "k" };
	EXPECT_EQ(oidc_client_of(o, &p, &c), ERR_INVAL);
	p.discovery_document_uri = "https://i/d";
	p.is_legacy = true;
	EXPECT_EQ(oidc_client_of(o, &p, &c), 0);
	EXPECT_STR(c.redirect_uri, "https://p/00000000-0000-0000-0000-000000000000/sign_in/providers/00000000-0000-0000-0000-000000000000/handle_callback");
	p.type = PROVIDER_EMAIL_OTP;
	EXPECT_EQ(oidc_client_of(o, &p, &c), ERR_INVAL);
	oidc_free(o);
}

/* --- claims ----------------------------------------------------------------------------------------------------------------------------------- */

static int profile(const char *claims, int type, int email_claim, char out[static 300])
{
	struct cJSON *root;
	struct oidc_profile p;
	struct strbuf names = { 0 };
	const char *why;

	if (json_parse(SPAN(claims, strlen(claims)), NULL, &root))
		return 99;
	int rc = oidc_profile_of(root, NULL, type, email_claim, &p, &names, &why);
	snprintf(out, 300, "%s|%s|%s", p.idp_id ? p.idp_id : "", p.email ? p.email : "", p.name ? p.name : "");
	json_free(root);
	strbuf_free(&names);
	return rc;
}

TEST(spec60_26_oidc_claims_become_a_profile)
{
	char out[300];

	EXPECT_EQ(profile("{\"iss\":\"i\",\"sub\":\"s\",\"oid\":\"o\",\"email\":\"e\",\"name\":\"N\"}", PROVIDER_OIDC, 0, out), 0);
	EXPECT_STR(out, "o|e|N");
	EXPECT_EQ(profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"given_name\":\"G\",\"family_name\":\"F\",\"preferred_username\":\"p\"}", PROVIDER_OIDC, 0, out), 0);
	EXPECT_STR(out, "s|e|G F");
	(void)profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"family_name\":\"F\"}", PROVIDER_OIDC, 0, out);
	EXPECT_STR(out, "s|e|F");
	(void)profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"preferred_username\":\"p\",\"nickname\":\"n\"}", PROVIDER_OIDC, 0, out);
	EXPECT_STR(out, "s|e|p");
	(void)profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"nickname\":\"n\",\"name\":\"\"}", PROVIDER_OIDC, 0, out);
	EXPECT_STR(out, "s|e|n");
	(void)profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"name\":7}", PROVIDER_OIDC, 0, out);
	EXPECT_STR(out, "s|e|e");
	(void)profile("{\"iss\":\"i\",\"sub\":\"s\",\"oid\":\"o\",\"email\":\"e\",\"upn\":\"u\",\"preferred_username\":\"p\"}", PROVIDER_ENTRA, CLAIM_UPN, out);
	EXPECT_STR(out, "o|u|p");
	(void)profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"upn\":\"u\",\"preferred_username\":\"p\"}", PROVIDER_ENTRA, CLAIM_PREFERRED_USERNAME, out);
	EXPECT_STR(out, "s|p|p");
	EXPECT_EQ(profile("{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\"}", PROVIDER_ENTRA, CLAIM_UPN, out), ERR_MALFORMED);
	EXPECT_EQ(profile("{\"iss\":\"i\",\"sub\":\"s\"}", PROVIDER_OIDC, 0, out), ERR_MALFORMED);
	EXPECT_EQ(profile("{\"iss\":\"i\",\"email\":\"e\"}", PROVIDER_OIDC, 0, out), ERR_MALFORMED);
	EXPECT_EQ(profile("{\"sub\":\"s\",\"email\":\"e\"}", PROVIDER_OIDC, 0, out), ERR_MALFORMED);
	char longer[700], sub[300];
	memset(sub, 'x', 256);
	sub[256] = 0;
	snprintf(longer, sizeof(longer), "{\"iss\":\"i\",\"sub\":\"%s\",\"email\":\"e\"}", sub);
	EXPECT_EQ(profile(longer, PROVIDER_OIDC, 0, out), ERR_MALFORMED);
	snprintf(longer, sizeof(longer), "{\"iss\":\"i\",\"sub\":\"s\",\"email\":\"e\",\"name\":\"%s\"}", sub);
	(void)profile(longer, PROVIDER_OIDC, 0, out);
	EXPECT_STR(out, "s|e|e");
}
