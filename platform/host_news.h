/* platform/host_news.h: tells when the system's resolvers or its connectivity may have changed (spec 30 §17).
 *
 *	what                     told by
 *	DNS, systemd-resolved    D-Bus: PropertiesChanged of /org/freedesktop/resolve1
 *	DNS, otherwise           files, looked at every HOST_NEWS_POLL: an event when the content is another one
 *	network, every method    D-Bus: PropertiesChanged of /org/freedesktop/NetworkManager with PrimaryConnection (head of the table at the end
 *	                         of spec 30; an unplugged cable while Wi-Fi stays up shows only here)
 *
 * There is no event at start. The D-Bus connection is our own and minimal (platform/linux/dbus.h): a Unix socket, EXTERNAL, Hello,
 * AddMatch. Without a bus nothing is lost but promptness: files are polled instead, and the bus is tried again after
 * HOST_NEWS_RETRY_MIN, doubled up to HOST_NEWS_RETRY_MAX. After a reconnection DNS is told once, for signals may have been missed.
 *
 *      [no bus] ── retry ──▶ [greeting] ── Hello, AddMatch answered ──▶ [listening]
 *         ▲                      │ HOST_NEWS_GREETING                        │
 *         └──────────────────────┴────────────── closed, malformed ──────────┘
 *
 * A change of the uplink also shows in platform/net.h; who listens to both need not reset twice within a second.
 */
#pragma once

#include "core/base/time.h"
#include "core/base/types.h"

#define HOST_NEWS_POLL SEC(5)
#define HOST_NEWS_DEBOUNCE MSEC(250) /* signals come in bursts: one event, this long after the first */
#define HOST_NEWS_GREETING SEC(10)
#define HOST_NEWS_RETRY_MIN SEC(1)
#define HOST_NEWS_RETRY_MAX MINUTES(1)
#define HOST_NEWS_FILES_MAX 4u

struct host_news;

struct host_news_config {
	bool has_resolved;         /* listen to systemd-resolved; false: poll only */
	const char *bus_address;   /* NULL: $DBUS_SYSTEM_BUS_ADDRESS, else unix:path=/run/dbus/system_bus_socket */
	/* Polled while no resolved is listened to; NULL terminated unless full. None: /etc/resolv.conf and
	 * /run/systemd/resolve/resolv.conf. Missing files are watched too. */
	const char *files[HOST_NEWS_FILES_MAX];
};

/* Texts are copied. A missing bus is no error. NULL: out of memory or descriptors. */
struct host_news *host_news_new(const struct host_news_config *cfg, u64 now);
void host_news_free(struct host_news *h); /* NULL is allowed */

int host_news_fd(const struct host_news *h); /* the same for life; watch for reading */
void host_news_input(struct host_news *h, u64 now);
void host_news_timeout(struct host_news *h, u64 now);
u64 host_news_next_timeout(const struct host_news *h);

enum host_news_event {
	HOST_NEWS_DNS,     /* read the system's resolvers again */
	HOST_NEWS_NETWORK, /* another primary connection: reset */
};
bool host_news_poll_event(struct host_news *h, enum host_news_event *out); /* after each of the two above */

struct host_news_stats {
	u64 connects, failures, signals, ignored, polls, changes;
};
const struct host_news_stats *host_news_stats(const struct host_news *h);
