/* Answers that wait until what they rest on is on the disk: the list of them, and a browser whose change has not settled. */
#include "applets/portal/http/held.h"
#include "tests/unit/page_world.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- a disk that is slow when told: for threads other than the loop's ------------------------------------------------------------------- */

static struct {
	pthread_mutex_t hold;
	_Atomic pid_t loop;
	_Atomic u32 syncs;
} disk = { .hold = PTHREAD_MUTEX_INITIALIZER };

int as_fdatasync(int fd) __asm__("fdatasync");

int as_fdatasync(int fd)
{
	if (disk.loop && (pid_t)syscall(SYS_gettid) != disk.loop) {
		pthread_mutex_lock(&disk.hold);
		pthread_mutex_unlock(&disk.hold);
		disk.syncs++;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- the list ------------------------------------------------------------------------------------------------------------------------------ */

struct waiter {
	struct held held;
	struct waiter *other; /* cancelled on release */
	u32 released;
};

static void on_release(void *ctx)
{
	struct waiter *w = ctx;

	w->released++;
	if (w->other)
		held_cancel(&w->other->held);
}

TEST(those_whose_ticket_is_settled_are_released_in_order)
{
	struct held_list list = { 0 }, other = { 0 };
	struct waiter a = { 0 }, b = { 0 }, c = { 0 };

	held_release(&list, 9);
	held_add(&list, &a.held, 0, on_release, &a);
	EXPECT(list.first == NULL);
	held_add(&list, &a.held, 1, on_release, &a);
	held_add(&list, &b.held, 2, on_release, &b);
	held_add(&list, &c.held, 2, on_release, &c);
	held_add(&list, &a.held, 3, on_release, &a); /* the later one counts */
	held_release(&list, 1);
	EXPECT_EQ(a.released + b.released + c.released, 0);
	b.other = &c;
	held_release(&list, 2);
	EXPECT_EQ(b.released, 1);
	EXPECT_EQ(c.released, 0);
	EXPECT_EQ(c.held.ticket, 0);
	held_cancel(&c.held);
	held_add(&list, &c.held, 4, on_release, &c);
	held_cancel(&c.held);
	held_release(&list, 9);
	EXPECT_EQ(a.released, 1);
	EXPECT_EQ(c.released, 0);
	EXPECT(list.first == NULL);
	held_add(&list, &c.held, 10, on_release, &c);
	held_add(&other, &c.held, 5, on_release, &c); /* leaves the one list for the other */
	held_release(&list, 10);
	EXPECT(list.first == NULL);
	EXPECT_EQ(c.released, 0);
	held_release(&other, 5);
	EXPECT_EQ(c.released, 1);
}

/* ---- a browser ----------------------------------------------------------------------------------------------------------------------------- */

static void on_settled(void *ctx, u64 ticket)
{
	struct http_world *w = ctx;

	server_settled(&w->server, ticket);
}

static char folder[] = "/tmp/test_held.XXXXXX", file[64];

static struct http_world *with_a_disk(void)
{
	if (!EXPECT(mkdtemp(folder) != NULL))
		abort();
	snprintf(file, sizeof(file), "%s/portal.db", folder);
	portal_file = file;
	struct http_world *w = signed_in();

	EXPECT_EQ(store_defer(w->portal->portal.store, w->loop, on_settled, w), 0);
	EXPECT_EQ(http_get(w, "/acme/sites/new")->status, 200);
	disk.loop = (pid_t)syscall(SYS_gettid);
	return w;
}

static void gone(struct http_world *w)
{
	disk.loop = 0;
	http_free(w);
	unlink(file);
	EXPECT_EQ(rmdir(folder), 0);
	memcpy(strrchr(folder, '.'), ".XXXXXX", 7);
}

/* Posts and does not wait for the answer. */
static int ask(struct http_world *w, const char *where, const char *form)
{
	struct strbuf body = { 0 }, rq = { 0 };
	int fd = http_dial(w);

	strbuf_printf(&body, "_csrf=%s&%s", w->csrf, form);
	strbuf_printf(&rq, "POST %s HTTP/1.1\r\nHost: portal.example\r\nOrigin: http://portal.example\r\nSec-Fetch-Site: same-origin\r\n", where);
	for (int i = 0; i < COOKIES_MAX; i++)
		if (w->cookie[i][0])
			strbuf_printf(&rq, "Cookie: %s\r\n", w->cookie[i]);
	strbuf_printf(&rq, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s", body.n, strbuf_text(&body));
	http_send(w, fd, strbuf_text(&rq));
	strbuf_free(&body);
	strbuf_free(&rq);
	return fd;
}

static int ask_for_a_site(struct http_world *w, const char *name)
{
	char form[64];

	snprintf(form, sizeof(form), "name=%s", name);
	return ask(w, "/acme/sites/new", form);
}

static void is_not_answered(struct http_world *w, int fd)
{
	for (int i = 0; i < 20; i++) {
		EXPECT_STR(http_recv(w, fd, NULL), "");
		usleep(1000);
	}
}

static const char *answer_of(struct http_world *w, int fd)
{
	for (int i = 0; i < 10000; i++) {
		const char *text = http_recv(w, fd, NULL);

		if (text[0])
			return text;
		usleep(1000);
	}
	return "";
}

TEST(a_change_is_answered_when_it_is_on_the_disk_and_nobody_waits_with_it)
{
	struct http_world *w = with_a_disk();

	pthread_mutex_lock(&disk.hold);
	u32 before = disk.syncs;
	int fd = ask_for_a_site(w, "Lisbon");
	is_not_answered(w, fd);
	EXPECT(store_ticket(w->portal->portal.store) > 0);
	EXPECT_EQ(http_get(w, "/healthz")->status, 200);
	pthread_mutex_unlock(&disk.hold);
	EXPECT_HAS(answer_of(w, fd), "HTTP/1.1 303");
	EXPECT(disk.syncs > before);
	EXPECT_EQ(store_ticket(w->portal->portal.store), 0);
	EXPECT_HAS(http_get(w, "/acme/sites")->body, "Lisbon");
	close(fd);
	gone(w);
}

TEST(who_hangs_up_before_is_forgotten)
{
	struct http_world *w = with_a_disk();

	pthread_mutex_lock(&disk.hold);
	int fd = ask_for_a_site(w, "Lisbon");
	is_not_answered(w, fd);
	conn_free_all(&w->server);
	EXPECT(w->server.held.first == NULL);
	pthread_mutex_unlock(&disk.hold);
	close(fd);
	EXPECT_HAS(http_get(w, "/acme/sites")->body, "Lisbon");
	gone(w);
}

/* A disk that does not come back: after a while the connection ends without an answer, since none would be true. */
TEST(what_never_settles_is_never_answered)
{
	struct http_world *w = with_a_disk();
	bool is_closed = false;

	pthread_mutex_lock(&disk.hold);
	int fd = ask_for_a_site(w, "Lisbon");
	is_not_answered(w, fd);
	http_wait(w, CONN_ANSWER_TIMEOUT + SEC(1));
	EXPECT_STR(http_recv(w, fd, &is_closed), "");
	EXPECT(is_closed);
	EXPECT(w->server.held.first == NULL);
	pthread_mutex_unlock(&disk.hold);
	close(fd);
	gone(w);
}

TEST(a_deletion_in_slices_is_answered_when_it_is_done_and_nobody_waits_with_it)
{
	struct http_world *w = with_a_disk();
	const struct store *store = w->portal->portal.store;
	char command[128], where[256];

	EXPECT(admin_value(w->portal, "site add --name Big", "id")[0]);
	snprintf(where, sizeof(where), "%s", path("/acme/sites/%s/delete", id_of(w, "site show Big")));
	for (int i = 0; i < 60; i++) {
		snprintf(command, sizeof(command), "resource add --name net%d --site Big --address 10.%d.0.0/16", i, i);
		EXPECT(admin_value(w->portal, command, "id")[0]);
	}
	EXPECT_EQ(http_get(w, where)->status, 200);
	int fd = ask(w, where, "confirm=Big");
	for (int i = 0; i < 10000 && store_sweeps(store) == 0; i++)
		EXPECT_STR(http_recv(w, fd, NULL), "");
	EXPECT_EQ(store_sweeps(store), 1);
	EXPECT_EQ(store_swept(store), 0);
	EXPECT_HAS(http_get(w, "/acme/sites")->body, "Big"); /* its turn is last */
	u32 slices = 0;
	for (; slices < 1000 && store_swept(store) == 0; slices++) {
		EXPECT_STR(http_recv(w, fd, NULL), "");
		hub_timeout(w->portal->portal.hub, portal_now, portal_wall);
	}
	EXPECT(slices > 5 && slices < 60);
	EXPECT_HAS(answer_of(w, fd), "HTTP/1.1 303");
	EXPECT(strstr(http_get(w, "/acme/sites")->body, "Big") == NULL);
	EXPECT(strstr(http_get(w, "/acme/resources")->body, "net7") == NULL);
	close(fd);
	gone(w);
}
