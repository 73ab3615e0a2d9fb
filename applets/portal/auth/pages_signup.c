/* A network of one's own, where whoever runs the portal allows it (--sign-up, spec 60 §1.2): the address is proven first, by a link that is mailed to it; then
 * the link does what that of `portal init` does. Nothing is made for an address that nobody reads. */
#define LOG_TARGET "portal::auth"

#include "applets/portal/auth/pages.h"
#include "applets/portal/auth/recovery.h"
#include "applets/portal/auth/routes.h"
#include "applets/portal/mail/config.h"
#include "applets/portal/mail/mail.h"
#include "applets/portal/model/idna.h"
#include "applets/portal/web/templates.h"
#include "core/base/log.h"

#include <sodium.h>
#include <strings.h>

#define SIGN_UPS_MAX 3u
#define SIGN_UPS_WINDOW MINUTES(30) /* spec 60 §1.2 */

static void show(struct exchange *x, const char *email, const char *error)
{
	struct form_field fields[] = {
		{ .name = "email", .label = "Your e-mail", .kind = INPUT_EMAIL, .value = email, .autocomplete = "email", .max = 160, .is_required = true,
		  .is_focused = true },
	};
	struct signin_step_view v = { .form = { .action = "/sign_up", .submit = "Mail me a link", FORM_FIELDS(fields) } };
	struct page page = pages_frame(x, NULL, "A network of your own", "The link in the mail leads on; nothing is made before.");

	v.link[v.n_links++] = (struct signin_link){ "You have one already?", "/" };
	if (error)
		form_error(&v.form, "email", error);
	template_signin_step(&x->out, &page, &v);
	pages_send(x, error ? 422 : 200);
}

static bool is_open(struct exchange *x)
{
	if (x->portal->auth->allows_sign_up && mail_is_possible(x->portal))
		return true;
	exchange_problem(x, 404, NULL);
	return false;
}

/* An empty list allows all. */
static bool domain_is_allowed(const struct auth *a, const char *email)
{
	const char *domain = strrchr(email, '@'), *one;
	char normal[DOMAIN_MAX + 1];

	for (u32 i = 0; i < a->n_sign_up_domains; i++) {
		one = a->sign_up_domains[i];
		one = idna_to_ascii(SPAN(one, strlen(one)), normal, sizeof(normal)) ? one : normal;
		if (domain && strcasecmp(domain + 1, one) == 0)
			return true;
	}
	return a->n_sign_up_domains == 0;
}

static int mail_link(struct exchange *x, const char *email)
{
	struct one_time_link row;
	char text[LINK_TEXT_LEN + 1];
	struct mail m = { .kind = MAIL_INVITE, .to = email, .by = "your sign-up", .remote_ip = x->remote_ip, .user_agent = x->user_agent,
			  .expires_at = loop_wall(x->loop) + LINK_LIFETIME };

	entity_init(KIND_LINK, &row);
	row.purpose = LINK_SETUP;
	row.expires_at = (i64)((loop_wall(x->loop) + LINK_LIFETIME) / 1000);
	int rc = link_make(&row, x->portal->rng, text);
	rc = rc ? rc : auth_begin(x, NULL);
	if (rc == 0) {
		m.url = pages_text(x, "%sauth/link/%s", x->portal->web_url, text);
		rc = store_insert(x->portal->store, KIND_LINK, &row, loop_wall(x->loop));
		rc = rc ? rc : mail_send(x->portal, &m);
		rc = auth_end(x, rc);
	}
	sodium_memzero(text, sizeof(text));
	entity_deinit(KIND_LINK, &row);
	return rc;
}

/* GET /sign_up */
void page_sign_up(struct exchange *x)
{
	if (is_open(x))
		show(x, NULL, NULL);
}

/* POST /sign_up */
void page_sign_up_send(struct exchange *x)
{
	static const struct uuid nobody;
	const char *email = exchange_form(x, "email");
	u8 key[AUTH_KEY_LEN];

	if (!is_open(x))
		return;
	const char *typed = email;
	email = pages_email(x, typed);
	if (!mail_address_is_valid(email, NULL)) {
		show(x, typed, "This is not an e-mail address. Check it and try again.");
		return;
	}
	if (!domain_is_allowed(x->portal->auth, email)) {
		show(x, typed, "Addresses of this domain cannot sign up here. Take the one of your organisation.");
		return;
	}
	auth_key_of(key, &nobody, email);
	if (auth_count(&x->portal->auth->mails, key, SIGN_UPS_MAX, SIGN_UPS_WINDOW, true, x->now) && mail_link(x, email) != 0)
		log_warn("a sign-up link could not be sent");
	struct page page = pages_frame(x, NULL, "Look into your mail", "A link is on its way. It works once, for a day.");
	template_signin_told(&x->out, &page);
	pages_send(x, 200);
}
