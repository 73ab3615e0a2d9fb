/* Lines, filters and what must never break a line. */
#define LOG_TARGET "turn::allocation"
#include "core/base/log.h"

#include "core/base/err.h"
#include "core/ip/addr.h"
#include "tests/unit/test.h"

#include <string.h>

static char last[8192];
static unsigned lines;

static void catch_line(void *ctx, const char *line, size_t n)
{
	(void)ctx;
	lines++;
	memcpy(last, line, n);
	last[n] = 0;
}

static u64 fixed_wall(void *ctx)
{
	(void)ctx;
	return 1795228706349029000ull; /* 2026-11-21T02:38:26.349Z */
}

static const char *logged_with(const char *filter, enum log_format format, void (*speak)(void))
{
	struct log_sink sink = { catch_line, fixed_wall, NULL, format, false };

	last[0] = 0;
	lines = 0;
	EXPECT_EQ(log_setup(&sink, filter, NULL), 0);
	speak();
	return last;
}

static void speak(void)
{
	struct endpoint relay = { ip4(203, 0, 113, 7), 3478 };

	log_info("live", kv_ep("relay", &relay), kv_u("secs", 600), kv_err(ERR_TIMEOUT), kv_s("name", "a\"b\nc"));
}

static void whisper(void)
{
	log_debug("detail");
}

static void shout_long(void)
{
	char big[6000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	log_error("long", kv_s("v", big));
}

TEST(human_line_has_time_level_target_message_fields)
{
	EXPECT_STR(logged_with(NULL, LOG_HUMAN, speak),
		   "2026-11-21T02:38:26.349Z  INFO turn::allocation: live relay=203.0.113.7:3478 secs=600 error=timed out name=a\"b\\x0ac\n");
}

TEST(json_line_is_escaped_and_ends_with_the_target)
{
	EXPECT_STR(logged_with("info", LOG_JSON, speak),
		   "{\"timestamp\":\"2026-11-21T02:38:26.349Z\",\"level\":\"INFO\",\"message\":\"live\",\"relay\":\"203.0.113.7:3478\","
		   "\"secs\":600,\"error\":\"timed out\",\"name\":\"a\\\"b\\u000ac\",\"target\":\"turn::allocation\"}\n");
}

TEST(filters_choose_by_longest_target)
{
	EXPECT(*logged_with("info", LOG_HUMAN, whisper) == 0);
	EXPECT(*logged_with("info,turn=debug", LOG_HUMAN, whisper) != 0);
	EXPECT(*logged_with("turn=debug,turn::allocation=warn", LOG_HUMAN, whisper) == 0);
	EXPECT(*logged_with("debug,tur=off", LOG_HUMAN, whisper) != 0);
	EXPECT(*logged_with(" warn , turn::allocation ", LOG_HUMAN, whisper) != 0);
	EXPECT(*logged_with("off", LOG_HUMAN, shout_long) == 0);
}

TEST(bad_filter_is_pointed_at)
{
	struct log_sink sink = { catch_line, fixed_wall, NULL, LOG_HUMAN, false };
	const char *bad = NULL;

	EXPECT_EQ(log_setup(&sink, "info,turn=loud", &bad), ERR_INVAL);
	EXPECT_STR(bad, "turn=loud");
}

TEST(overlong_line_is_cut_and_still_one_line)
{
	const char *line = logged_with("info", LOG_HUMAN, shout_long);

	EXPECT_EQ(lines, 1);
	EXPECT_STR(line + strlen(line) - 5, " ...\n");
	logged_with("info", LOG_JSON, shout_long);
	EXPECT_EQ(lines, 1);
	EXPECT(last[0] == '{' && strcmp(last + strlen(last) - 2, "}\n") == 0);
}
