/* applets/portal/auth/routes.h: the handlers of signing in, for the table of web/routes.c (spec 60 §3.3). */
#pragma once

struct exchange;

void page_chooser(struct exchange *x);	     /* GET / */
void page_choose(struct exchange *x);	     /* POST / */
void page_sign_in(struct exchange *x);	     /* GET /:account */
void page_sign_out(struct exchange *x);	     /* POST /:account/sign_out */
void page_client_redirect(struct exchange *x);
void page_client_auth_error(struct exchange *x);
void page_passcode_request(struct exchange *x); /* POST /:account/sign_in/email_otp/:provider */
void page_passcode(struct exchange *x);	     /* GET the same */
void page_passcode_verify(struct exchange *x);  /* GET, POST …/verify */
void page_password(struct exchange *x);	     /* POST /:account/sign_in/userpass/:provider */
void page_second(struct exchange *x);	     /* GET …/code */
void page_second_verify(struct exchange *x);   /* POST …/code */
void page_passkey(struct exchange *x);	     /* POST …/passkey */
void page_recover(struct exchange *x);	     /* GET …/recovery */
void page_recover_verify(struct exchange *x);  /* POST …/recovery */
void page_sign_up(struct exchange *x);	     /* GET, POST /sign_up */
void page_sign_up_send(struct exchange *x);
void page_link(struct exchange *x);	     /* GET /auth/link/:token */
void page_link_names(struct exchange *x);	     /* POST /auth/link/:token: the network's and the first admin's names */
void page_link_passkey(struct exchange *x);   /* POST /auth/link/:token/passkey */
void page_link_password(struct exchange *x);  /* POST /auth/link/:token/password */
void page_security(struct exchange *x);	     /* GET /:account/settings/security */
void page_security_passkey(struct exchange *x);
void page_security_remove(struct exchange *x);
void page_security_password(struct exchange *x);
void page_security_no_password(struct exchange *x);
void page_security_codes(struct exchange *x);
