#include "core/base/strbuf.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

TEST(an_empty_buffer_is_an_empty_text)
{
	struct strbuf b = { 0 };

	EXPECT_STR(strbuf_text(&b), "");
	char *text = strbuf_take(&b);
	EXPECT_STR(text, "");
	free(text);
}

TEST(text_grows_and_stays_terminated)
{
	struct strbuf b = { 0 };

	for (int i = 0; i < 1000; i++)
		strbuf_printf(&b, "%03d,", i);
	strbuf_putc(&b, '!');
	EXPECT_EQ(b.n, 4001);
	EXPECT_EQ(strlen(strbuf_text(&b)), 4001);
	EXPECT(strncmp(strbuf_text(&b) + 3996, "999,!", 5) == 0);
	strbuf_reset(&b);
	strbuf_puts(&b, "again");
	EXPECT_STR(strbuf_text(&b), "again");
	strbuf_free(&b);
	EXPECT(!b.p);
}

TEST(over_the_limit_is_remembered_and_nothing_is_half_written)
{
	struct strbuf b = { .max = 8 };

	strbuf_puts(&b, "1234567");
	EXPECT(strbuf_ok(&b));
	strbuf_puts(&b, "8");
	EXPECT(!strbuf_ok(&b));
	EXPECT_STR(strbuf_text(&b), "1234567");
	EXPECT(!strbuf_take(&b));
	strbuf_puts(&b, "fresh");
	EXPECT_STR(strbuf_text(&b), "fresh");
	strbuf_free(&b);
}
