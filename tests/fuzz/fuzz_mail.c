/* Mails from hostile values: whatever people typed, the message is lines of ASCII with CRLF, has the header fields we wrote, and the SMTP client takes it. */
#include "applets/portal/mail/message.h"
#include "applets/portal/outbound/smtp.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define TEXTS 6u
#define FIELDS 9u

static void check_lines(const struct strbuf *wire)
{
	size_t line = 0, fields = 0;
	bool in_head = true;

	for (size_t i = 0; i < wire->n; i++) {
		u8 c = (u8)wire->p[i];
		if (c == 0 || c >= 0x7f || (c < ' ' && c != '\r' && c != '\n' && c != '\t') || (c == '\r' && wire->p[i + 1] != '\n') || line > 80)
			abort();
		if (c != '\n') {
			line++;
			continue;
		}
		if (line == 0 || wire->p[i - 1] != '\r')
			abort();
		in_head &= line > 1;
		fields += in_head && wire->p[i - line] != ' ';
		line = 0;
	}
	if (line != 0 || in_head || fields != FIELDS)
		abort();
}

static void check_smtp(const struct strbuf *wire)
{
	struct smtp *s = smtp_new(&(struct smtp_config){ .is_secure = true });

	if (!s)
		return;
	smtp_opened(s, 0);
	smtp_input(s, 0, SPAN_STR("220 x\r\n250 x\r\n"));
	if (smtp_send(s, 0, &(struct smtp_mail){ "a@b.example", "c@d.example", strbuf_span(wire) }) == ERR_INVAL)
		abort();
	smtp_free(s);
}

/* Input: kind, then NUL-separated texts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = calloc(1, size + 1), *text[TEXTS];
	struct mail_text written;
	struct strbuf wire = { .p = NULL };

	if (!copy || size == 0) {
		free(copy);
		return 0;
	}
	memcpy(copy, data + 1, size - 1);
	text[0] = copy;
	for (u32 i = 1; i < TEXTS; i++) {
		size_t n = strlen(text[i - 1]);
		text[i] = text[i - 1] + n + (text[i - 1] + n < copy + size);
	}
	struct mail m = { .kind = (enum mail_kind)(data[0] % (MAIL_LIMITS + 1)), .to = data[0] & 64 ? text[5] : "c@d.example", .to_name = text[0], .account_name = text[1],
			  .by = text[2], .code = data[0] & 128 ? text[3] : "code", .url = data[0] & 32 ? text[3] : "https://x.example/", .subject = text[2],
			  .reason = text[4], .lines = (const char *const *)text, .n_lines = TEXTS, .user_agent = text[4], .expires_at = 1 };
	if (mail_write(&m, 0, &written) == 0) {
		struct mail_envelope e = { .from = "a@b.example", .to = "c@d.example", .subject = written.subject, .text = strbuf_text(&written.text),
					   .html = strbuf_text(&written.html) };
		if (mail_compose(&e, &wire))
			abort();
		check_lines(&wire);
		check_smtp(&wire);
		strbuf_free(&wire);
		mail_text_free(&written);
	}
	free(copy);
	return 0;
}
