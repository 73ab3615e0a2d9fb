/* The stand-in of builds without DNS over HTTPS (core/dns/no_doh.c) has all the doors, and none of them leads anywhere. */
#define doh_is_available none_is_available
#define doh_new none_new
#define doh_free none_free
#define doh_state none_state
#define doh_is_willing none_is_willing
#define doh_error none_error
#define doh_reason none_reason
#define doh_ask none_ask
#define doh_cancel none_cancel
#define doh_close none_close
#define doh_input none_input
#define doh_input_eof none_input_eof
#define doh_fail none_fail
#define doh_output none_output
#define doh_output_done none_output_done
#define doh_poll_answer none_poll_answer
#define doh_timeout none_timeout
#define doh_next_timeout none_next_timeout
#define doh_stats none_stats
#include "core/dns/no_doh.c"
#include "tests/unit/test.h"

TEST(builds_without_dns_over_https_say_so)
{
	struct doh_config cfg = { .wall_secs = 1 };
	struct doh_answer a;
	struct doh *d;

	EXPECT(!doh_is_available());
	EXPECT_EQ(doh_new(&cfg, 1, &d), ERR_UNSUPPORTED);
	REQUIRE(d == NULL);
	doh_free(d);
	EXPECT_EQ(doh_state(d), DOH_FAILED);
	EXPECT_EQ(doh_error(d), ERR_UNSUPPORTED);
	EXPECT_STR(doh_reason(d), DOH_MISSING);
	EXPECT_EQ(doh_ask(d, 1, 1, SPAN_STR("............")), ERR_STATE);
	EXPECT(!doh_is_willing(d) && !doh_poll_answer(d, &a) && doh_output(d).n == 0);
	EXPECT_EQ(doh_next_timeout(d), TIME_NEVER);
	EXPECT_EQ(doh_stats(d)->asked, 0);
	doh_cancel(d, 1, 1);
	doh_close(d, 1);
	doh_input(d, 1, SPAN_NONE);
	doh_input_eof(d, 1);
	doh_fail(d, 1, ERR_IO, "");
	doh_output_done(d, 0);
	doh_timeout(d, 1);
}
