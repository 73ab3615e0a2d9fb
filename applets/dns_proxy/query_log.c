#include "applets/dns_proxy/query_log.h"

#include "core/base/calendar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE PIPE_BUF /* that a pipe which is ready takes without blocking */

struct query_log {
	struct loop *loop;
	struct loop_timer timer;
	int fd;
	bool is_json;
	u64 dropped; /* bytes */
	size_t n;
	char text[QUERY_LOG_BYTES];
};

static const struct {
	u16 type;
	const char *name;
} types[] = {
	{ DNS_A, "A" },       { DNS_AAAA, "AAAA" },   { DNS_HTTPS, "HTTPS" }, { DNS_PTR, "PTR" },  { DNS_CNAME, "CNAME" }, { DNS_MX, "MX" },
	{ DNS_TXT, "TXT" },   { DNS_SRV, "SRV" },     { DNS_SVCB, "SVCB" },   { DNS_NS, "NS" },    { DNS_SOA, "SOA" },     { DNS_ANY, "ANY" },
};

static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };

const char *query_log_outcome(enum proxy_outcome o)
{
	switch (o) {
	case PROXY_CACHED: return "cached";
	case PROXY_FORWARDED: return "forwarded";
	case PROXY_STATIC: return "static";
	case PROXY_SPECIAL: return "special";
	case PROXY_BLOCKED: return "blocked";
	case PROXY_FAILED: return "failed";
	case PROXY_FOREIGN: return "foreign";
	case PROXY_TOO_FAST: return "too_fast";
	case PROXY_UNSUPPORTED: return "unsupported";
	case PROXY_OUTCOMES: break;
	}
	return "";
}

static const char *type_name(u16 type, char buf[static 12])
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return types[i].name;
	snprintf(buf, 12, "TYPE%u", type); /* RFC 3597 §5 */
	return buf;
}

static const char *rcode_name(const struct proxy_note *n, char buf[static 12])
{
	if (n->outcome == PROXY_TOO_FAST)
		return "-";
	if (n->rcode < ARRAY_LEN(rcodes))
		return rcodes[n->rcode];
	snprintf(buf, 12, "RCODE%u", n->rcode);
	return buf;
}

/* A name's text is printable ASCII (core/dns/name.h). */
static void escape_json(const char *text, char *out)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
}

size_t query_log_line(const struct proxy_note *n, u64 wall_ns, bool is_json, char out[static QUERY_LOG_LINE_MAX])
{
	char name[DNS_NAME_STRLEN], escaped[2 * DNS_NAME_STRLEN], client[IP_STRLEN], type[12], rcode[12], time[RFC3339_STRLEN];
	u64 us = n->took / 1000;
	int len;

	rfc3339_format(wall_ns, 3, time);
	dns_name_text(&n->question->name, name);
	ip_format(&n->client->addr.ip, client);
	if (is_json) {
		escape_json(name, escaped);
		len = snprintf(out, QUERY_LOG_LINE_MAX,
			       "{\"time\":\"%s\",\"client\":\"%s\",\"transport\":\"%s\",\"name\":\"%s\",\"type\":\"%s\",\"outcome\":\"%s\","
			       "\"rcode\":\"%s\",\"ms\":%llu.%03llu}\n",
			       time, client, n->client->is_tcp ? "tcp" : "udp", escaped, type_name(n->question->type, type),
			       query_log_outcome(n->outcome), rcode_name(n, rcode), (unsigned long long)(us / 1000),
			       (unsigned long long)(us % 1000));
	} else {
		len = snprintf(out, QUERY_LOG_LINE_MAX, "%s %s %s %s %s %s %s %llu.%03llu\n", time, client, n->client->is_tcp ? "tcp" : "udp", name,
			       type_name(n->question->type, type), query_log_outcome(n->outcome), rcode_name(n, rcode),
			       (unsigned long long)(us / 1000), (unsigned long long)(us % 1000));
	}
	return len > 0 && (size_t)len < QUERY_LOG_LINE_MAX ? (size_t)len : 0;
}

static void flush(struct query_log *q)
{
	size_t done = 0;

	while (done < q->n) {
		struct pollfd ready = { q->fd, POLLOUT, 0 };
		ssize_t n = poll(&ready, 1, 0) > 0 ? write(q->fd, q->text + done, MIN(q->n - done, (size_t)PIECE)) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			q->dropped += q->n - done;
			break;
		}
		done += (size_t)n;
	}
	q->n = 0;
	loop_timer_clear(q->loop, &q->timer);
}

static void flush_due(void *ctx, u64 now)
{
	(void)now;
	flush(ctx);
}

void query_log_note(void *ctx, const struct proxy_note *n)
{
	struct query_log *q = ctx;

	if (sizeof(q->text) - q->n < QUERY_LOG_LINE_MAX)
		flush(q);
	q->n += query_log_line(n, loop_wall(q->loop), q->is_json, q->text + q->n);
	if (!q->timer.is_set)
		loop_timer_set(q->loop, &q->timer, time_add(loop_now(q->loop), QUERY_LOG_PAUSE));
}

struct query_log *query_log_open(struct loop *l, const char *path, bool is_json, int *rc)
{
	struct query_log *q = calloc(1, sizeof(*q));

	*rc = ERR_NOMEM;
	if (!q)
		return NULL;
	q->loop = l;
	q->is_json = is_json;
	q->timer = (struct loop_timer){ .cb = flush_due, .ctx = q };
	q->fd = strcmp(path, "stdout") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
					    : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	*rc = q->fd >= 0 ? 0 : ERR_IO;
	if (q->fd >= 0)
		return q;
	free(q);
	return NULL;
}

void query_log_close(struct query_log *q)
{
	if (!q)
		return;
	flush(q);
	close(q->fd);
	free(q);
}

u64 query_log_dropped(const struct query_log *q)
{
	return q ? q->dropped : 0;
}
