#include "applets/portal/model/zone.h"
#include "applets/portal/zones.h"
#include "core/base/cursor.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static i64 utc(int y, int mo, int d, int h, int mi, int s)
{
	struct tm tm = { .tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d, .tm_hour = h, .tm_min = mi, .tm_sec = s };

	return timegm(&tm);
}

static i64 by_rule(const char *rule, i64 at)
{
	struct zone z = { .n = 0 };

	if (!EXPECT(zone_rule_parse(SPAN(rule, strlen(rule)), &z.rule) == 0))
		return -1;
	return zone_offset(&z, at);
}

TEST(rules_change_at_their_instants)
{
	static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3", sydney[] = "AEST-10AEDT,M10.1.0,M4.1.0/3";

	EXPECT_EQ(by_rule(berlin, utc(2027, 3, 28, 0, 59, 59)), 3600);
	EXPECT_EQ(by_rule(berlin, utc(2027, 3, 28, 1, 0, 0)), 7200);
	EXPECT_EQ(by_rule(berlin, utc(2027, 10, 31, 0, 59, 59)), 7200);
	EXPECT_EQ(by_rule(berlin, utc(2027, 10, 31, 1, 0, 0)), 3600);
	EXPECT_EQ(by_rule(sydney, utc(2027, 1, 1, 0, 0, 0)), 11 * 3600);
	EXPECT_EQ(by_rule(sydney, utc(2027, 7, 1, 0, 0, 0)), 10 * 3600);
	EXPECT_EQ(by_rule("<+0545>-5:45", 0), 5 * 3600 + 45 * 60);
	EXPECT_EQ(by_rule("EST5", 0), -5 * 3600);
	EXPECT_EQ(by_rule("AAA0BBB,J60/0,J61/0", utc(2028, 3, 1, 12, 0, 0)), 3600);	 /* J60 is always March 1 */
	EXPECT_EQ(by_rule("AAA0BBB,59/0,60/0", utc(2028, 2, 29, 12, 0, 0)), 3600);	 /* day 59 of a leap year is February 29 */
	EXPECT_EQ(by_rule("IST-2IDT,M3.4.4/26,M10.5.0", utc(2027, 3, 25, 23, 59, 0)), 7200); /* Friday before the last Sunday, 2 h */
	EXPECT_EQ(by_rule("IST-2IDT,M3.4.4/26,M10.5.0", utc(2027, 3, 26, 0, 1, 0)), 10800);
}

TEST(bad_rules_are_refused)
{
	static const char *const bad[] = { "", "C", "CET", "CET-", "CET-99", "CET-1CEST", "CET-1CEST,", "CET-1CEST,M13.1.0,M1.1.0",
					   "CET-1CEST,M3.5.0", "CET-1CEST,M3.6.0,M10.5.0", "<+05-5", "CET-1CEST,M3.5.0,M10.5.0/", "CET-1x y" };
	struct zone_rule r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(zone_rule_parse(SPAN(bad[i], strlen(bad[i])), &r), ERR_MALFORMED);
}

/* Every zone of the host against its libc, over a century, where the host has the database. */
TEST(offsets_equal_those_of_the_c_library)
{
	static const char *const names[] = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu",
					     "America/Sao_Paulo", "Europe/Dublin", "Pacific/Apia", "Antarctica/Troll", "Asia/Gaza" };
	char path[128];
	u32 compared = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", names[i]);
		if (access(path, R_OK))
			continue;
		setenv("TZ", names[i], 1);
		tzset();
		for (i64 at = utc(1971, 1, 1, 0, 0, 0); at < utc(2071, 1, 1, 0, 0, 0); at += 86400 * 3 + 3607, compared++) {
			time_t t = (time_t)at;
			struct tm tm;
			i64 offset = -1;

			localtime_r(&t, &tm);
			if (!EXPECT_EQ(system_zones.offset(NULL, SPAN(names[i], strlen(names[i])), at, &offset), 0) ||
			    !EXPECT_EQ(offset, tm.tm_gmtoff)) {
				fprintf(stderr, "%s at %lld\n", names[i], (long long)at);
				break;
			}
		}
	}
	unsetenv("TZ");
	if (compared == 0)
		TEST_SKIP("no time zone database");
}

TEST(names_cannot_lead_out_of_the_database)
{
	static const char *const bad[] = { "../../../etc/passwd", "/etc/passwd", "Europe//Berlin", "", "Europe/..", "No/Such", "Europe" };
	i64 offset;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(system_zones.offset(NULL, SPAN(bad[i], strlen(bad[i])), 0, &offset), ERR_NOT_FOUND);
	EXPECT_EQ(system_zones.offset(NULL, SPAN_STR("UTC"), 0, &offset), 0);
	EXPECT_EQ(offset, 0);
}

TEST(cut_files_are_refused)
{
	u8 file[200] = "TZif2";
	struct zone z;

	for (size_t n = 0; n < sizeof(file); n++)
		EXPECT_EQ(zone_parse(SPAN(file, n), &z), ERR_MALFORMED);
}
