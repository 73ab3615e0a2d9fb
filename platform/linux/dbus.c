#include "platform/linux/dbus.h"

#include "core/base/encode.h"
#include "core/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_BYTES 4096u
#define LINE_MAX_BYTES 1024u

/* --- addresses --------------------------------------------------------------------------------------------------------------------- */

/* %xx undone. False: malformed or too long. */
static bool unescape(const char *p, size_t n, char *out, size_t cap, size_t *len)
{
	*len = 0;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		if (c == '%') {
			if (i + 2 >= n)
				return false;
			int high = hex_digit((u8)p[i + 1]), low = hex_digit((u8)p[i + 2]);
			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (*len + 1 >= cap)
			return false;
		out[(*len)++] = c;
	}
	out[*len] = '\0';
	return *len > 0;
}

/* "path=/x,guid=…" */
static bool parse_unix(const char *p, size_t n, struct sockaddr_un *out, size_t *len)
{
	static const struct {
		const char *key;
		size_t shift; /* abstract names start with a NUL */
	} kinds[] = { { "path=", 0 }, { "abstract=", 1 } };

	while (n > 0) {
		const char *comma = memchr(p, ',', n);
		size_t part = comma ? (size_t)(comma - p) : n, used;
		for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
			const size_t key_n = strlen(kinds[k].key), shift = kinds[k].shift;
			if (part <= key_n || memcmp(p, kinds[k].key, key_n) != 0)
				continue;
			*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
			if (!unescape(p + key_n, part - key_n, out->sun_path + shift, sizeof(out->sun_path) - shift, &used))
				return false;
			*len = offsetof(struct sockaddr_un, sun_path) + shift + used + (shift ? 0 : 1);
			return true;
		}
		part += comma != NULL;
		p += part;
		n -= part;
	}
	return false;
}

bool dbus_next_address(const char **list, struct sockaddr_un *out, size_t *len)
{
	while (**list) {
		const char *p = *list;
		size_t n = strcspn(p, ";");
		*list = p + n + (p[n] == ';');
		if (n > 5 && memcmp(p, "unix:", 5) == 0 && parse_unix(p + 5, n - 5, out, len))
			return true;
	}
	return false;
}

/* --- connecting ---------------------------------------------------------------------------------------------------------------------- */

static int send_all(struct dbus *d, const void *p, size_t n)
{
	ssize_t sent;

	do
		sent = send(d->fd, p, n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)n ? 0 : ERR_IO;
}

static int authenticate(struct dbus *d)
{
	char uid[16], line[64] = { 0 }; /* the first byte is a NUL that belongs to the protocol */
	size_t n = 1;

	snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	n += (size_t)snprintf(line + n, sizeof(line) - n, "AUTH EXTERNAL ");
	for (const char *c = uid; *c; c++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%02x", (unsigned)*c);
	n += (size_t)snprintf(line + n, sizeof(line) - n, "\r\n");
	return send_all(d, line, n);
}

static int connect_to(struct dbus *d, const struct sockaddr_un *to, size_t len)
{
	struct sockaddr_storage any = { 0 };

	memcpy(&any, to, sizeof(*to));
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return ERR_IO;
	int rc = 0;
	if (connect(d->fd, (const struct sockaddr *)&any, (socklen_t)len))
		rc = errno == ENOENT || errno == ECONNREFUSED ? ERR_CLOSED : errno == EACCES ? ERR_DENIED : ERR_IO;
	if (rc == 0)
		rc = authenticate(d);
	if (rc)
		dbus_close(d);
	return rc;
}

int dbus_open(struct dbus *d, const char *address, const char *const *rules, void (*on_signal)(void *ctx, const struct dbus_message *m),
	      void *ctx)
{
	struct sockaddr_un to;
	int rc = ERR_NOT_FOUND;
	size_t len;

	d->rules = rules;
	d->on_signal = on_signal;
	d->ctx = ctx;
	d->n = 0;
	d->answers = d->n_rules = 0;
	while (d->n_rules < DBUS_RULES_MAX && rules[d->n_rules])
		d->n_rules++;
	while (rc && dbus_next_address(&address, &to, &len))
		rc = connect_to(d, &to, len);
	if (rc == 0)
		d->state = DBUS_AUTH;
	return rc;
}

void dbus_close(struct dbus *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	d->state = DBUS_CLOSED;
}

/* --- talking -------------------------------------------------------------------------------------------------------------------------- */

static int greet(struct dbus *d)
{
	u8 buf[GREETING_BYTES];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_str(&w, "BEGIN\r\n");
	struct wr m = wr_init(w.p, wr_left(&w));
	int rc = dbus_write_call(&m, 1, "Hello", NULL);
	for (unsigned i = 0; i < d->n_rules && rc == 0; i++) {
		struct wr next = wr_init(m.p, wr_left(&m));
		rc = dbus_write_call(&next, i + 2, "AddMatch", d->rules[i]);
		m.p = next.p;
	}
	if (rc)
		return rc;
	d->state = DBUS_GREETING;
	return send_all(d, buf, (size_t)(m.p - buf));
}

/* Bytes used, 0: more are needed, or an error. */
static int take_auth_line(struct dbus *d)
{
	const u8 *end = memchr(d->buf, '\n', d->n);

	if (!end)
		return d->n > LINE_MAX_BYTES ? ERR_MALFORMED : 0;
	const size_t n = (size_t)(end - d->buf) + 1;
	if (n < 4 || memcmp(d->buf, "OK ", 3) != 0)
		return ERR_AUTH;
	int rc = greet(d);
	return rc ? rc : (int)n;
}

static int take_message(struct dbus *d)
{
	struct dbus_message m;
	size_t total;
	int rc = dbus_length(SPAN(d->buf, d->n), &total);

	if (rc == ERR_TRUNCATED || (rc == 0 && total > d->n))
		return 0;
	if (rc == 0)
		rc = dbus_parse(SPAN(d->buf, total), &m);
	if (rc)
		return rc;
	if (m.type == DBUS_ERROR && d->state == DBUS_GREETING)
		return ERR_DENIED;
	if (m.type == DBUS_RETURN && d->state == DBUS_GREETING && ++d->answers == d->n_rules + 1)
		d->state = DBUS_LISTENING;
	if (m.type == DBUS_SIGNAL)
		d->on_signal(d->ctx, &m);
	return (int)total;
}

static int take_all(struct dbus *d)
{
	size_t at = 0;
	int used = 1;

	while (at < d->n && used > 0) {
		const size_t left = d->n - at;
		if (at > 0) {
			memmove(d->buf, d->buf + at, left); /* messages are aligned to their own start */
			d->n = left;
			at = 0;
		}
		used = d->state == DBUS_AUTH ? take_auth_line(d) : take_message(d);
		if (used > 0)
			at += (size_t)used;
	}
	memmove(d->buf, d->buf + at, d->n - at);
	d->n -= at;
	return MIN(used, 0);
}

int dbus_input(struct dbus *d)
{
	for (unsigned i = 0; i < DBUS_READS_MAX && d->fd >= 0; i++) {
		ssize_t got = recv(d->fd, d->buf + d->n, sizeof(d->buf) - d->n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : ERR_IO;
		if (got == 0)
			return ERR_CLOSED;
		d->n += (size_t)got;
		int rc = take_all(d);
		if (rc)
			return rc;
		if (d->n == sizeof(d->buf))
			return ERR_LIMIT;
	}
	return 0;
}
