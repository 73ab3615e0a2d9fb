#include "applets/portal/mail/config.h"

#include "core/base/encode.h"
#include "core/base/text.h"
#include "core/base/utf8.h"
#include "core/http/url.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define SENDMAIL_DEFAULT "/usr/sbin/sendmail"
#define PORT_SUBMISSION 587 /* RFC 6409 */
#define PORT_SUBMISSIONS 465 /* RFC 8314 §3.3 */
#define LOCAL_PART_MAX 64u   /* RFC 5321 §4.5.3.1.1 */

/* ---- addresses ----------------------------------------------------------------------------------------------------------------------- */

static bool is_alnum(u8 c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Dots neither first, last nor doubled; other characters are the caller's question. */
static bool has_good_dots(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' && (i == 0 || i + 1 == n || s[i + 1] == '.'))
			return false;
	return n > 0;
}

static bool is_local_part(const char *s, size_t n, bool *needs_utf8)
{
	for (size_t i = 0; i < n; i++) {
		u8 c = (u8)s[i];
		if (c >= 0x80)
			*needs_utf8 = true;
		else if (!is_alnum(c) && !strchr("!#$%&'*+-/=?^_`{|}~.", c))
			return false;
	}
	return n <= LOCAL_PART_MAX && has_good_dots(s, n);
}

static bool is_domain(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!is_alnum((u8)s[i]) && s[i] != '-' && s[i] != '.')
			return false;
	return has_good_dots(s, n) && s[0] != '-';
}

bool mail_address_is_valid(const char *address, bool *needs_utf8)
{
	const char *at = address ? strrchr(address, '@') : NULL;
	bool is_wide = false;

	if (!at || strlen(address) > MAIL_ADDRESS_MAX || !is_domain(at + 1) || !is_local_part(address, (size_t)(at - address), &is_wide))
		return false;
	if (needs_utf8)
		*needs_utf8 = is_wide;
	return utf8_is_valid(SPAN(address, strlen(address)));
}

/* ---- the transport's URL --------------------------------------------------------------------------------------------------------------- */

static int complain(char *why, const char *text)
{
	snprintf(why, MAIL_WHY_MAX, "%s", text);
	return ERR_INVAL;
}

/* %XX and nothing else; NUL and line ends are no part of a credential. */
static bool decode(struct span in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		int c = in.p[i];
		if (c == '%') {
			int high = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1, low = i + 2 < in.n ? hex_digit(in.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c == 0 || c == '\r' || c == '\n' || n + 1 >= MAIL_CREDENTIAL_MAX)
			return false;
		out[n++] = (char)c;
	}
	out[n] = 0;
	return true;
}

static bool read_credentials(struct mail_config *cfg, struct span info)
{
	const u8 *colon = info.n > 0 ? memchr(info.p, ':', info.n) : NULL;
	size_t user = colon ? (size_t)(colon - info.p) : info.n;

	return decode(SPAN(info.p, user), cfg->user) && (!colon || decode(SPAN(colon + 1, info.n - user - 1), cfg->password));
}

static bool is_local(const struct url *u)
{
	return u->literal.family ? ip_is_loopback(&u->literal) : text_is(u->host, "localhost");
}

static int read_smtp(struct mail_config *cfg, const char *text, char *why)
{
	const char *authority = strstr(text, "://") + 3, *end = authority + strcspn(authority, "/?#"), *at = end;
	char bare[URL_MAX + 1];
	struct url u;

	while (at > authority && *at != '@')
		at--;
	if (at > authority && !read_credentials(cfg, SPAN(authority, (size_t)(at - authority))))
		return complain(why, "user and password before the '@' cannot be read (special characters are written %XX)");
	const char *host = at > authority ? at + 1 : authority;
	int n = snprintf(bare, sizeof(bare), "%.*s%s", (int)(authority - text), text, host);
	if (n < 0 || (size_t)n >= sizeof(bare) || url_parse(SPAN(bare, strlen(bare)), &u) || u.host.n > MAIL_HOST_MAX)
		return complain(why, "an SMTP server is written smtp://user:password@host:587 or smtps://user:password@host");
	cfg->way = MAIL_BY_SMTP;
	memcpy(cfg->host, u.host.p, u.host.n);
	cfg->is_tls = url_scheme_is(&u, "smtps");
	cfg->is_starttls = !cfg->is_tls && !is_local(&u);
	cfg->port = u.port ? u.port : cfg->is_tls ? PORT_SUBMISSIONS : PORT_SUBMISSION;
	if (text_is(u.query, "starttls") && !cfg->is_tls)
		cfg->is_starttls = true;
	else if (text_is(u.query, "insecure") && !cfg->is_tls)
		cfg->is_starttls = false;
	else if (u.query.n > 0)
		return complain(why, "behind the host only ?starttls or ?insecure can follow, and neither with smtps");
	return u.path.n > 1 ? complain(why, "behind the host no path can follow") : 0;
}

static int read_transport(struct mail_config *cfg, const char *text, char *why)
{
	if (!text || !*text || strcmp(text, "none") == 0)
		return 0;
	if (strncasecmp(text, "smtp://", 7) == 0 || strncasecmp(text, "smtps://", 8) == 0)
		return read_smtp(cfg, text, why);
	if (strcmp(text, "sendmail") != 0 && strncmp(text, "sendmail:", 9) != 0)
		return complain(why, "expected smtp://…, smtps://…, sendmail[:PATH] or none");
	const char *path = text[8] == ':' ? text + 9 : SENDMAIL_DEFAULT;
	if (path[0] != '/' || strlen(path) >= sizeof(cfg->sendmail))
		return complain(why, "sendmail: takes the whole path of a program, such as sendmail:/usr/sbin/sendmail");
	cfg->way = MAIL_BY_SENDMAIL;
	snprintf(cfg->sendmail, sizeof(cfg->sendmail), "%s", path);
	return 0;
}

/* ---- password and sender ----------------------------------------------------------------------------------------------------------------- */

static int set_password(struct mail_config *cfg, struct span line, char *why)
{
	while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
		line.n--;
	if (line.n == 0 || line.n >= sizeof(cfg->password) || memchr(line.p, 0, line.n))
		return complain(why, "the mail password is empty, too long or holds a NUL");
	memcpy(cfg->password, line.p, line.n);
	cfg->password[line.n] = 0;
	return 0;
}

static int read_password_file(struct mail_config *cfg, const char *path, char *why)
{
	char buf[MAIL_CREDENTIAL_MAX + 2];
	struct span text, line = SPAN_NONE;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf)) : -1;

	if (n < 0) {
		snprintf(why, MAIL_WHY_MAX, "the mail password in %.160s cannot be read: %s", path, strerror(errno));
		rc = ERR_IO;
	} else {
		text = SPAN(buf, (size_t)n);
		(void)text_line(&text, &line);
		rc = set_password(cfg, line, why);
	}
	if (fd >= 0)
		close(fd);
	sodium_memzero(buf, sizeof(buf));
	return rc;
}

static int read_password(struct mail_config *cfg, const struct mail_options *o, char *why)
{
	int rc = 0;

	if (o->password_file)
		rc = read_password_file(cfg, o->password_file, why);
	else if (o->password && *o->password)
		rc = set_password(cfg, SPAN(o->password, strlen(o->password)), why);
	if (rc == 0 && cfg->way == MAIL_BY_SMTP && !cfg->user[0] && cfg->password[0])
		rc = complain(why, "there is a mail password but no user: smtp://user@host");
	if (rc == 0 && cfg->way == MAIL_BY_SMTP && cfg->user[0] && !cfg->password[0])
		rc = complain(why, "there is a mail user but no password: smtp://user:password@host, or a file with it");
	return rc;
}

static int read_from(struct mail_config *cfg, const struct mail_options *o, char *why)
{
	struct url u;
	int n;

	if (o->from && *o->from) {
		n = snprintf(cfg->from, sizeof(cfg->from), "%s", o->from);
	} else if (o->url && url_parse(SPAN(o->url, strlen(o->url)), &u) == 0 && !u.literal.family) {
		n = snprintf(cfg->from, sizeof(cfg->from), "firezone@%.*s", (int)u.host.n, (const char *)u.host.p);
	} else {
		return complain(why, "who the mail is from is not known: --mail-from firezone@example.org");
	}
	if (n < 0 || (size_t)n >= sizeof(cfg->from) || !mail_address_is_valid(cfg->from, NULL))
		return complain(why, "the sender of mail is not an address such as firezone@example.org (--mail-from)");
	return 0;
}

int mail_config_read(struct mail_config *cfg, const struct mail_options *o, char why[static MAIL_WHY_MAX])
{
	int rc;

	memset(cfg, 0, sizeof(*cfg));
	rc = read_transport(cfg, o->transport, why);
	if (rc == 0 && cfg->way != MAIL_BY_NOTHING) {
		cfg->ca_file = o->ca_file;
		rc = read_from(cfg, o, why);
		rc = rc ? rc : read_password(cfg, o, why);
	}
	if (rc)
		mail_config_wipe(cfg);
	return rc;
}

void mail_config_wipe(struct mail_config *cfg)
{
	sodium_memzero(cfg, sizeof(*cfg));
}
