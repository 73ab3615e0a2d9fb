#define LOG_TARGET "host_news"
#include "platform/host_news.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "platform/linux/dbus.h"
#include "platform/linux/textfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FILE_MAX_BYTES 65536u
#define RESOLVED_PATH "/org/freedesktop/resolve1"
#define NM_NAME "org.freedesktop.NetworkManager"
#define NM_PATH "/org/freedesktop/NetworkManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

static const char *const rules_resolved[] = {
	"type='signal',sender='org.freedesktop.resolve1',path='" RESOLVED_PATH "',interface='" PROPERTIES "',member='PropertiesChanged'",
	"type='signal',sender='" NM_NAME "',path='" NM_PATH "',interface='" PROPERTIES "',member='PropertiesChanged',arg0='" NM_NAME "'",
	NULL,
};
static const char *const *const rules_plain = rules_resolved + 1;

struct watched {
	char *path;
	u64 sum;
};

struct host_news {
	bool has_resolved;
	char *address;
	int epoll_fd;
	struct dbus bus;
	u64 retry_at, retry_wait, greeting_ends; /* TIME_NEVER: not due */
	bool was_listening, said_why;
	struct watched files[HOST_NEWS_FILES_MAX];
	unsigned n_files;
	u64 poll_at;
	u64 now; /* of the call that is under way, for signals */
	u64 dns_at, network_at;                  /* when the debounced event is due */
	bool has_dns, has_network;
	struct host_news_stats stats;
};

/* --- files ------------------------------------------------------------------------------------------------------------------------- */

/* FNV-1a; 0 for a missing file. */
static u64 content_sum(const char *path)
{
	struct textfile f;
	u64 h = 0xcbf29ce484222325ull;

	if (textfile_read(&f, path, FILE_MAX_BYTES, true))
		return 0;
	for (size_t i = 0; i < f.n; i++)
		h = (h ^ (u8)f.text[i]) * 0x100000001b3ull;
	textfile_free(&f);
	return h;
}

static void poll_files(struct host_news *h)
{
	h->stats.polls++;
	for (unsigned i = 0; i < h->n_files; i++) {
		u64 sum = content_sum(h->files[i].path);
		if (sum == h->files[i].sum)
			continue;
		h->files[i].sum = sum;
		h->has_dns = true;
		h->stats.changes++;
	}
}

static bool is_polling(const struct host_news *h)
{
	return !h->has_resolved || h->bus.state != DBUS_LISTENING;
}

/* --- the bus ------------------------------------------------------------------------------------------------------------------------- */

static bool is(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void on_signal(void *ctx, const struct dbus_message *m)
{
	struct host_news *h = ctx;
	struct span interface;
	bool has = false;

	if (!is(m->interface, PROPERTIES) || !is(m->member, "PropertiesChanged")) {
		h->stats.ignored++;
		return;
	}
	if (h->has_resolved && is(m->path, RESOLVED_PATH)) {
		h->stats.signals++;
		h->dns_at = time_min(h->dns_at, time_add(h->now, HOST_NEWS_DEBOUNCE));
	} else if (is(m->path, NM_PATH) && dbus_properties_changed(m, &interface, "PrimaryConnection", &has) == 0 && has &&
		   is(interface, NM_NAME)) {
		h->stats.signals++;
		h->network_at = time_min(h->network_at, time_add(h->now, HOST_NEWS_DEBOUNCE));
	} else {
		h->stats.ignored++;
	}
}

static void lost(struct host_news *h, u64 now, int rc)
{
	if (h->bus.state == DBUS_LISTENING)
		log_info("the system's D-Bus is gone, trying again", kv_err(rc));
	else if (!h->said_why)
		log_info("no news from the system's D-Bus, files are looked at instead", kv_s("address", h->address), kv_err(rc));
	h->said_why = true;
	dbus_close(&h->bus);
	h->stats.failures++;
	h->greeting_ends = TIME_NEVER;
	h->retry_at = time_add(now, h->retry_wait);
	h->retry_wait = MIN(2 * h->retry_wait, HOST_NEWS_RETRY_MAX);
}

static void try_bus(struct host_news *h, u64 now)
{
	h->retry_at = TIME_NEVER;
	int rc = dbus_open(&h->bus, h->address, h->has_resolved ? rules_resolved : rules_plain, on_signal, h);
	if (rc == 0) {
		struct epoll_event ev = { .events = EPOLLIN };
		if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->bus.fd, &ev))
			rc = ERR_IO;
	}
	if (rc) {
		lost(h, now, rc);
		return;
	}
	h->greeting_ends = time_add(now, HOST_NEWS_GREETING);
}

static void listening(struct host_news *h)
{
	log_debug("listening on the system's D-Bus", kv_s("address", h->address));
	h->greeting_ends = TIME_NEVER;
	h->retry_wait = HOST_NEWS_RETRY_MIN;
	h->said_why = false;
	h->stats.connects++;
	if (h->was_listening && h->has_resolved)
		h->has_dns = true;
	h->was_listening = true;
}

/* --- doors ----------------------------------------------------------------------------------------------------------------------------- */

struct host_news *host_news_new(const struct host_news_config *cfg, u64 now)
{
	static const char *const usual[HOST_NEWS_FILES_MAX] = { "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf" };
	struct host_news *h = calloc(1, sizeof(*h));
	const char *from_env = getenv("DBUS_SYSTEM_BUS_ADDRESS");

	if (!h)
		return NULL;
	h->bus.fd = -1;
	h->has_resolved = cfg->has_resolved;
	h->dns_at = h->network_at = h->greeting_ends = h->retry_at = TIME_NEVER;
	h->retry_wait = HOST_NEWS_RETRY_MIN;
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	h->address = strdup(cfg->bus_address ? cfg->bus_address : from_env && *from_env ? from_env : DBUS_SYSTEM_BUS);
	bool failed = h->epoll_fd < 0 || !h->address;
	const char *const *files = cfg->files[0] ? cfg->files : usual;
	for (unsigned i = 0; i < HOST_NEWS_FILES_MAX && files[i] && !failed; i++) {
		struct watched *w = &h->files[h->n_files++];
		w->path = strdup(files[i]);
		failed = !w->path;
		if (!failed)
			w->sum = content_sum(w->path);
	}
	if (failed) {
		host_news_free(h);
		return NULL;
	}
	h->poll_at = time_add(now, HOST_NEWS_POLL);
	try_bus(h, now);
	return h;
}

void host_news_free(struct host_news *h)
{
	if (!h)
		return;
	dbus_close(&h->bus);
	if (h->epoll_fd >= 0)
		close(h->epoll_fd);
	for (unsigned i = 0; i < h->n_files; i++)
		free(h->files[i].path);
	free(h->address);
	free(h);
}

int host_news_fd(const struct host_news *h)
{
	return h->epoll_fd;
}

void host_news_input(struct host_news *h, u64 now)
{
	if (h->bus.state == DBUS_CLOSED)
		return;
	const enum dbus_state before = h->bus.state;
	h->now = now;
	int rc = dbus_input(&h->bus);
	if (rc)
		lost(h, now, rc);
	else if (h->bus.state == DBUS_LISTENING && before != DBUS_LISTENING)
		listening(h);
}

static bool is_due(u64 *at, u64 now)
{
	if (now < *at)
		return false;
	*at = TIME_NEVER;
	return true;
}

void host_news_timeout(struct host_news *h, u64 now)
{
	if (is_due(&h->dns_at, now))
		h->has_dns = true;
	if (is_due(&h->network_at, now))
		h->has_network = true;
	if (is_due(&h->greeting_ends, now))
		lost(h, now, ERR_TIMEOUT);
	if (is_due(&h->retry_at, now))
		try_bus(h, now);
	if (now >= h->poll_at) {
		h->poll_at = time_add(now, HOST_NEWS_POLL);
		if (is_polling(h))
			poll_files(h);
	}
}

u64 host_news_next_timeout(const struct host_news *h)
{
	u64 at = time_min(time_min(h->dns_at, h->network_at), time_min(h->greeting_ends, h->retry_at));

	return is_polling(h) ? time_min(at, h->poll_at) : at;
}

bool host_news_poll_event(struct host_news *h, enum host_news_event *out)
{
	if (h->has_dns) {
		h->has_dns = false;
		*out = HOST_NEWS_DNS;
		return true;
	}
	if (h->has_network) {
		h->has_network = false;
		*out = HOST_NEWS_NETWORK;
		return true;
	}
	return false;
}

const struct host_news_stats *host_news_stats(const struct host_news *h)
{
	return &h->stats;
}
