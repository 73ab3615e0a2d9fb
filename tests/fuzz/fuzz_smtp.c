/* A hostile SMTP server against our client: whatever it says, no password leaves before TLS where that was asked for, every mail has one
 * result, and after the end nothing happens any more. */
#include "applets/portal/outbound/smtp.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define MAILS_MAX 8u /* a server that is too small for any refuses them all at once */
#define MESSAGE "To: a@b\r\n\r\n.x\r\n"

struct run {
	struct smtp *s;
	bool is_encrypted, may_auth, is_closed, has_mail;
	u32 mails;
};

static void check_output(struct run *r)
{
	struct span out = smtp_output(r->s);

	if (out.n > 0 && r->is_closed)
		abort();
	if (out.n >= 4 && memcmp(out.p, "AUTH", 4) == 0 && !r->is_encrypted && !r->may_auth)
		abort();
	smtp_output_done(r->s, out.n);
}

static void drain(struct run *r, bool may_secure)
{
	struct smtp_event e;

	while (smtp_poll_event(r->s, &e)) {
		if (r->is_closed || memchr(e.text, 0, sizeof(e.text)) == NULL)
			abort();
		switch (e.type) {
		case SMTP_START_TLS:
			if (may_secure)
				smtp_secured(r->s, 1);
			r->is_encrypted = may_secure;
			break;
		case SMTP_READY:
			if (r->has_mail)
				abort();
			if (r->mails == MAILS_MAX)
				break;
			r->has_mail = smtp_send(r->s, 1, &(struct smtp_mail){ "a@b", r->mails++ % 2 ? "\xc3\xb6@b" : "c@d", SPAN_STR(MESSAGE) }) == 0;
			break;
		case SMTP_RESULT:
			if (!r->has_mail)
				abort();
			r->has_mail = false;
			break;
		case SMTP_CLOSED:
			if (r->has_mail)
				abort();
			r->is_closed = true;
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct run r = { .may_auth = data[0] & 4 };
	size_t at = 2, step = data[1] % 61 + 1;

	r.s = smtp_new(&(struct smtp_config){ "h", data[0] & 1 ? "u" : "", "p", data[0] & 2, r.may_auth });
	if (!r.s)
		return 0;
	smtp_opened(r.s, 0);
	for (; at < size; at += step) {
		smtp_input(r.s, 1, SPAN(data + at, MIN(step, size - at)));
		check_output(&r);
		drain(&r, data[0] & 8);
		check_output(&r);
	}
	smtp_timeout(r.s, TIME_NEVER - 1);
	drain(&r, false);
	smtp_failed(r.s, "end");
	drain(&r, false);
	if (!r.is_closed)
		abort();
	smtp_free(r.s);
	return 0;
}
