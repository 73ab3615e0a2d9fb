/* QR codes: the squares of one code as a decoder read them (zbar), and what holds for all. */
#include "core/base/qr.h"
#include "tests/unit/test.h"

#include <string.h>

/* Read back by zbar; one row of the square per line. */
static const char *const hello[] = {
	"#######  ####   # #######",
	"#     #   #    #  #     #",
	"# ### # ##    ##  # ### #",
	"# ### # #   ### # # ### #",
	"# ### # # ## #  # # ### #",
	"#     # # ##  ### #     #",
	"####### # # # # # #######",
	"        #   # ###        ",
	"# #####  ### ###  #####  ",
	"#    #  # #   # #  #   # ",
	"  #  #####  #  # #   # ##",
	"  ##   ## ###   ##      #",
	"###############  #### ###",
	"# #  # ## #  #   # # # # ",
	"#  # ###  ### ##  #### ##",
	"#      #  ##   ##  ##   #",
	"# # ######## ## ##### #  ",
	"        #   #  ##   ##   ",
	"#######  ##   # # # # ###",
	"#     # # # # # #   ## # ",
	"# ### # ##  ## ###### ###",
	"# ### # #    #   ## #####",
	"# ### # #  ##### #   ## #",
	"#     #   ##  ########  #",
	"####### ## ##     #######",
};

TEST(a_code_that_a_decoder_reads_as_hello)
{
	static struct qr q;

	REQUIRE(qr_encode(&q, SPAN_STR("https://portal.example/")) == 0);
	REQUIRE(q.size == ARRAY_LEN(hello));
	for (u32 y = 0; y < q.size; y++)
		for (u32 x = 0; x < q.size; x++)
			EXPECT_EQ(qr_is_dark(&q, (int)x, (int)y), hello[y][x] == '#');
	EXPECT(!qr_is_dark(&q, -1, 0) && !qr_is_dark(&q, 0, (int)q.size));
}

TEST(versions_grow_with_the_text_to_a_limit)
{
	static const struct {
		u32 n, size;
	} cases[] = { { 0, 21 }, { 14, 21 }, { 15, 25 }, { 26, 25 }, { 27, 29 }, { 180, 53 }, { 181, 57 }, { 213, 57 }, { 214, 61 }, { 666, 97 } };
	static struct qr q;
	static char text[QR_TEXT_MAX + 1];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EXPECT_EQ(qr_encode(&q, SPAN(text, cases[i].n)), 0);
		EXPECT_EQ(q.size, cases[i].size);
	}
	EXPECT_EQ(qr_encode(&q, SPAN(text, QR_TEXT_MAX + 1)), ERR_LIMIT);
}

TEST(finders_stand_in_three_corners_whatever_the_text)
{
	static struct qr q;
	char text[4];

	for (int i = 0; i < 50; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		REQUIRE(qr_encode(&q, SPAN(text, sizeof(text))) == 0);
		for (int k = 0; k < 7; k++) {
			EXPECT(qr_is_dark(&q, k, 0) && qr_is_dark(&q, 0, k) && qr_is_dark(&q, (int)q.size - 1 - k, 0) && qr_is_dark(&q, 0, (int)q.size - 1 - k));
			EXPECT(!qr_is_dark(&q, 7, k) && !qr_is_dark(&q, k, 7));
		}
	}
}
