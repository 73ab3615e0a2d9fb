/* Mails that wait: order, pauses, ends, restarts; and that codes do not stay on disk. */
#include "applets/portal/mail/queue.h"
#include "applets/portal/store/store.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY0 (1795290345ull * NSEC_PER_SEC)

static struct store *store;
static struct queue *q;
static struct rng_seeded rng;
static struct mail_row row;
static char path[64], why[256];
static u64 wall;

static void open_queue(void)
{
	REQUIRE(store_open(&store, path, why, sizeof(why)) == 0);
	q = queue_new(store, &rng.rng);
	REQUIRE(q != NULL);
}

static void close_queue(void)
{
	queue_free(q);
	store_close(store);
}

static void begin(void)
{
	rng_seeded_init(&rng, 7);
	snprintf(path, sizeof(path), "/tmp/emberbox-test-queue-%d.db", (int)getpid());
	wall = DAY0;
	unlink(path);
	open_queue();
}

static void end(void)
{
	char name[80];

	close_queue();
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, i == 0 ? "" : i == 1 ? "-wal" : "-shm");
		unlink(name);
	}
}

static int add(enum mail_kind kind, const char *to)
{
	struct mail m = { .kind = kind, .to = to, .url = "https://p.example/x?secret=opensesame", .code = "z9y8x7", .by = "Kim" };

	return queue_add(q, &m, wall);
}

static const char *take(void)
{
	static char to[100];

	if (queue_take(q, wall, &row))
		return "";
	snprintf(to, sizeof(to), "%s", row.recipient);
	return to;
}

static bool is_on_disk(const char *text)
{
	char name[80], cmd[200];
	bool found = false;

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s%s", path, i ? "-wal" : "");
		snprintf(cmd, sizeof(cmd), "grep -aqs '%s' %s", text, name);
		found |= system(cmd) == 0;
	}
	return found;
}

TEST(mail_codes_go_first_then_links_then_the_oldest)
{
	begin();
	EXPECT_EQ(add(MAIL_WELCOME, "a@x.example"), 0);
	wall += SEC(1);
	EXPECT_EQ(add(MAIL_WELCOME, "b@x.example"), 0);
	EXPECT_EQ(add(MAIL_INVITE, "c@x.example"), 0);
	EXPECT_EQ(add(MAIL_CODE, "d@x.example"), 0);
	EXPECT_EQ(queue_count(q), 4);
	for (const char *order = "dcab"; *order; order++) {
		EXPECT_EQ(take()[0], *order);
		queue_settle(q, &row, SMTP_ACCEPTED, "250 ok", wall);
	}
	EXPECT_STR(take(), "");
	EXPECT_EQ(queue_next_due(q), TIME_NEVER);
	EXPECT_STR(queue_news(q)->sent_to, "b@x.example");
	EXPECT_EQ(queue_news(q)->sent_at, wall);
	end();
}

TEST(mail_that_is_deferred_waits_longer_each_time_and_is_given_up_after_a_day)
{
	static const u64 pauses[] = { 30, 120, 600, 3600, 10800, 21600, 21600, 21600 };
	u32 tries = 0;

	begin();
	EXPECT_EQ(add(MAIL_WELCOME, "a@x.example"), 0);
	EXPECT(*take());
	for (; tries < ARRAY_LEN(pauses); tries++) {
		queue_settle(q, &row, SMTP_LATER, "451 busy", wall);
		EXPECT_EQ(queue_next_due(q), wall + SEC(pauses[tries]));
		wall += SEC(pauses[tries]) - 1;
		EXPECT_STR(take(), "");
		wall++;
		EXPECT(*take());
	}
	EXPECT_EQ(tries, 8);
	queue_settle(q, &row, SMTP_LATER, "451 busy", wall);
	wall += SEC(21600);
	EXPECT_STR(take(), "");
	EXPECT_EQ(queue_count(q), 0);
	EXPECT_STR(queue_news(q)->failure, "given up: too late; before that: 451 busy");
	EXPECT_STR(queue_news(q)->failed_to, "a@x.example");
	end();
}

TEST(mail_with_a_code_is_not_sent_when_the_code_is_worthless)
{
	begin();
	EXPECT_EQ(add(MAIL_CODE, "a@x.example"), 0);
	wall += MAIL_CODE_LIFETIME - 1;
	EXPECT_STR(take(), "a@x.example");
	queue_settle(q, &row, SMTP_LATER, "451", wall);
	wall += MINUTES(1);
	EXPECT_STR(take(), "");
	EXPECT_EQ(queue_count(q), 0);
	end();
}

TEST(mail_survives_a_restart_with_its_pause)
{
	begin();
	EXPECT_EQ(add(MAIL_WELCOME, "a@x.example"), 0);
	EXPECT_EQ(add(MAIL_WELCOME, "b@x.example"), 0);
	EXPECT(*take());
	queue_settle(q, &row, SMTP_LATER, "451", wall);
	EXPECT(*take());
	queue_settle(q, &row, SMTP_REFUSED, "550 5.1.1 no such user", wall);
	close_queue();
	open_queue();
	EXPECT_EQ(queue_count(q), 1);
	EXPECT_EQ(queue_next_due(q), (wall + SEC(30)) / 1000 * 1000);
	EXPECT_STR(queue_news(q)->failure, "550 5.1.1 no such user");
	wall += SEC(31);
	EXPECT(*take());
	EXPECT_EQ(row.attempts, 1);
	EXPECT(row.body_text && strstr(row.body_text, "opensesame"));
	queue_give_back(q, &row);
	EXPECT_EQ(queue_count(q), 1);
	EXPECT(*take());
	queue_give_back(q, &row);
	end();
}

TEST(mail_secrets_leave_the_disk_when_it_is_sent_or_refused)
{
	begin();
	EXPECT_EQ(add(MAIL_CODE, "a@x.example"), 0);
	EXPECT_EQ(add(MAIL_RECOVERY, "b@x.example"), 0);
	EXPECT(is_on_disk("z9y8x7"));
	EXPECT(*take());
	queue_settle(q, &row, SMTP_ACCEPTED, "250 ok", wall);
	EXPECT(*take());
	queue_settle(q, &row, SMTP_REFUSED, "550 no", wall);
	EXPECT_EQ(queue_count(q), 0);
	close_queue(); /* the last connection writes everything back and removes the log */
	EXPECT(!is_on_disk("z9y8x7"));
	EXPECT(!is_on_disk("opensesame"));
	EXPECT(is_on_disk("b@x.example"));
	open_queue();
	end();
}

TEST(mail_joins_the_transaction_it_is_born_in)
{
	begin();
	REQUIRE(store_begin(store, STORE_DURABLE) == 0);
	EXPECT_EQ(add(MAIL_WELCOME, "a@x.example"), 0);
	EXPECT_EQ(store_rollback(store, ERR_DENIED), ERR_DENIED);
	EXPECT_STR(take(), "");
	EXPECT_EQ(queue_count(q), 0);
	REQUIRE(store_begin(store, STORE_DURABLE) == 0);
	EXPECT_EQ(add(MAIL_WELCOME, "b@x.example"), 0);
	EXPECT_EQ(store_commit(store), 0);
	EXPECT_STR(take(), "b@x.example");
	queue_settle(q, &row, SMTP_ACCEPTED, "250", wall);
	end();
}

TEST(mail_queue_has_an_end_and_a_reserve_for_codes)
{
	u32 n = 0;

	begin();
	REQUIRE(store_begin(store, STORE_EAGER) == 0);
	while (n <= MAIL_QUEUE_MAX && add(MAIL_WELCOME, "a@x.example") == 0)
		n++;
	EXPECT_EQ(n, MAIL_QUEUE_BULK);
	for (n = 0; n <= MAIL_QUEUE_MAX && add(MAIL_CODE, "a@x.example") == 0;)
		n++;
	EXPECT_EQ(n, MAIL_QUEUE_MAX - MAIL_QUEUE_BULK);
	EXPECT_EQ(add(MAIL_CODE, "a@x.example"), ERR_LIMIT);
	EXPECT_EQ(store_commit(store), 0);
	end();
}

TEST(mail_of_a_clock_that_was_set_back_does_not_wait_for_it)
{
	begin();
	EXPECT_EQ(add(MAIL_WELCOME, "a@x.example"), 0);
	wall -= SEC(86400ull * 30);
	EXPECT_STR(take(), "a@x.example");
	queue_settle(q, &row, SMTP_ACCEPTED, "250", wall);
	end();
}

TEST(mail_that_cannot_be_is_not_queued)
{
	begin();
	EXPECT_EQ(add(MAIL_WELCOME, "no address"), ERR_INVAL);
	EXPECT_EQ(add(MAIL_SYNC, "a@x.example"), ERR_INVAL);
	EXPECT_EQ(queue_count(q), 0);
	end();
}

TEST(mail_that_is_to_be_tried_again_is_found_when_its_row_changed)
{
	begin();
	EXPECT_EQ(add(MAIL_WELCOME, "a@x.example"), 0);
	EXPECT(*take());
	queue_settle(q, &row, SMTP_LATER, "451", wall);
	EXPECT_STR(take(), "");
	wall += SEC(30);
	REQUIRE(*take());
	row.next_attempt_at = 1;
	wall -= SEC(29);
	REQUIRE(store_begin(store, STORE_DURABLE) == 0);
	EXPECT_EQ(store_update(store, KIND_MAIL, &row, wall), 0);
	EXPECT_EQ(store_commit(store), 0);
	queue_give_back(q, &row);
	EXPECT_STR(take(), "");
	EXPECT_EQ(queue_reload(q), 0);
	EXPECT_EQ(queue_count(q), 1);
	EXPECT_STR(take(), "a@x.example");
	queue_give_back(q, &row);
	end();
}
