#define LOG_TARGET "dns_control"
#include "platform/linux/dns_resolv_conf.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "platform/resolver.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUM_LABEL "# sum " /* then 16 hex digits, over all that follows that line */
#define SUM_DIGITS 16u

static const struct span magic = SPAN_STR(DNS_CONTROL_MAGIC);

/* --- text ------------------------------------------------------------------------------------------------------------------------ */

static u64 sum_of(struct span text)
{
	u64 h = 0xcbf29ce484222325ull; /* FNV-1a: tells edits, not attacks */

	for (size_t i = 0; i < text.n; i++)
		h = (h ^ text.p[i]) * 0x100000001b3ull;
	return h;
}

bool resolv_conf_is_ours(struct span text, bool *is_edited)
{
	*is_edited = false;
	if (text.n < magic.n || memcmp(text.p, magic.p, magic.n) != 0)
		return false;
	const size_t label_n = strlen(SUM_LABEL), head_n = magic.n + 1 + label_n + SUM_DIGITS + 1;
	if (text.n < head_n || memcmp(text.p + magic.n + 1, SUM_LABEL, label_n) != 0)
		return true; /* Firezone's own client: no sum */
	char expected[SUM_DIGITS + 1];
	snprintf(expected, sizeof(expected), "%016llx", (unsigned long long)sum_of(SPAN(text.p + head_n, text.n - head_n)));
	*is_edited = memcmp(text.p + magic.n + 1 + label_n, expected, SUM_DIGITS) != 0;
	return true;
}

struct out {
	char *p;
	size_t n, cap;
	bool failed;
};

static void PRINTF_LIKE(2, 3) put(struct out *o, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(o->p + o->n, o->cap - o->n, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= o->cap - o->n)
		o->failed = true;
	else
		o->n += (size_t)n;
}

static bool is_address(struct span word)
{
	const u8 *zone = word.n > 0 ? memchr(word.p, '%', word.n) : NULL;
	struct ip ip;

	return ip_parse(SPAN(word.p, zone ? (size_t)(zone - word.p) : word.n), &ip) == 0;
}

static void keep_options(struct out *o, struct span words)
{
	for (struct span w = text_word(&words); w.n; w = text_word(&words))
		if (w.n < 6 || memcmp(w.p, "ndots:", 6) != 0)
			put(o, " %.*s", (int)w.n, (const char *)w.p);
}

/* One line of the original: `options` are collected, `rest` gets whole lines that stay. */
static int take_line(struct span line, struct out *options, struct out *rest)
{
	struct span words = line, key;

	if (memchr(line.p, '\0', line.n))
		return ERR_MALFORMED;
	key = text_word(&words);
	if (key.n == 0 || key.p[0] == '#' || key.p[0] == ';')
		return 0;
	if (text_is(key, "nameserver"))
		return is_address(text_word(&words)) ? 0 : ERR_MALFORMED;
	if (text_is(key, "search") || text_is(key, "domain"))
		return 0;
	if (text_is(key, "options")) {
		keep_options(options, words);
		return 0;
	}
	if (text_is(key, "sortlist") || text_is(key, "lookup") || text_is(key, "family")) {
		put(rest, "%.*s\n", (int)line.n, (const char *)line.p);
		return 0;
	}
	return ERR_MALFORMED;
}

static int take_lines(struct span text, struct out *options, struct out *rest, unsigned *number)
{
	struct span line;

	*number = 0;
	while (text_line(&text, &line)) {
		if (++*number > RESOLV_CONF_LINES_MAX)
			return ERR_LIMIT;
		int rc = take_line(line, options, rest);
		if (rc)
			return rc;
	}
	return options->failed || rest->failed ? ERR_LIMIT : 0;
}

static void put_body(struct out *o, const struct ip *sentinels, size_t n, const char *search_domain, const char *backup,
		     const struct out *options, const struct out *rest)
{
	char text[IP_STRLEN];

	put(o, "# Firezone's client answers the names of its resources at these addresses while it runs.\n"
	       "# What was here before is in %s and is put back when it ends.\n"
	       "# When somebody changes this file meanwhile, it is left as it is.\n", backup);
	for (size_t i = 0; i < n; i++)
		put(o, "nameserver %s\n", ip_format(&sentinels[i], text));
	if (search_domain)
		put(o, "search %s\n", search_domain);
	put(o, "options ndots:1%s\n%s", options->p, rest->p);
}

int resolv_conf_render(struct span original, const struct ip *sentinels, size_t n, const char *search_domain, const char *backup, char *out,
		       size_t cap, size_t *len, unsigned *line)
{
	const size_t head_n = magic.n + 1 + strlen(SUM_LABEL) + SUM_DIGITS + 1;
	char *scratch = calloc(2, cap);
	struct out options = { .p = scratch, .cap = cap }, rest = { .p = scratch + cap, .cap = cap };
	int rc = ERR_NOMEM;

	if (!scratch)
		return rc;
	rc = take_lines(original, &options, &rest, line);
	if (rc == 0 && cap <= head_n)
		rc = ERR_LIMIT;
	if (rc == 0) {
		struct out body = { .p = out + head_n, .cap = cap - head_n };
		put_body(&body, sentinels, n, search_domain, backup, &options, &rest);
		char first = body.p[0]; /* the head's NUL falls on it */
		snprintf(out, head_n + 1, DNS_CONTROL_MAGIC "\n" SUM_LABEL "%016llx\n",
			 (unsigned long long)sum_of(SPAN(body.p, body.n)));
		body.p[0] = first;
		*len = head_n + body.n;
		rc = body.failed ? ERR_LIMIT : 0;
	}
	free(scratch);
	return rc;
}

size_t resolv_conf_servers(const char *path, const char *backup, struct ip *out, size_t max)
{
	struct textfile f;
	bool is_edited;
	size_t n = 0;

	if (textfile_read(&f, path, DNS_CONTROL_FILE_MAX, true))
		return 0;
	if (resolv_conf_is_ours(SPAN(f.text, f.n), &is_edited)) {
		textfile_free(&f);
		if (textfile_read(&f, backup, DNS_CONTROL_FILE_MAX, true))
			return 0;
	}
	n = resolver_parse_conf(SPAN(f.text, f.n), out, max);
	textfile_free(&f);
	return n;
}

/* --- the file -------------------------------------------------------------------------------------------------------------------- */

static int PRINTF_LIKE(3, 4) fail(struct resolv_conf *f, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->why, DNS_CONTROL_WHY_BYTES, fmt, args);
	va_end(args);
	return rc;
}

static int explain(struct resolv_conf *f, const char *path, int rc, const char *doing)
{
	char target[PATH_MAX];
	const int saved = errno;

	if (rc == ERR_STATE) {
		ssize_t n = readlink(path, target, sizeof(target));
		if (n > 0)
			return fail(f, rc, "%s is a symbolic link to %.*s: another program manages it; choose --dns-control systemd-resolved or disabled",
				    path, (int)n, target);
		return fail(f, rc, "%s is not a regular file", path);
	}
	if (rc == ERR_NOT_FOUND)
		return fail(f, rc, "%s does not exist; create it, or choose --dns-control systemd-resolved or disabled", path);
	if (rc == ERR_LIMIT)
		return fail(f, rc, "%s is longer than %u bytes", path, DNS_CONTROL_FILE_MAX);
	if (rc == ERR_NOMEM)
		return fail(f, rc, "cannot %s %s: out of memory", doing, path);
	return fail(f, rc, "cannot %s %s: %s", doing, path, strerror(saved));
}

static int read_file(struct resolv_conf *f, struct textfile *out, const char *path)
{
	int rc = textfile_read(out, path, DNS_CONTROL_FILE_MAX, false);

	return rc ? explain(f, path, rc, "read") : 0;
}

static bool is_same(const struct textfile *a, const struct textfile *b)
{
	return a->text && b->text && a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

static int put_back(struct resolv_conf *f, const struct textfile *text)
{
	int rc = textfile_rewrite(f->path, SPAN(text->text, text->n), true); /* so that no tail of ours is left: see is_torn() */

	if (rc)
		return explain(f, f->path, rc, "write");
	f->stats->restores++;
	return 0;
}

static int keep_edited(struct resolv_conf *f, const struct textfile *edited)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s-edited", f->backup);
	int rc = textfile_replace(path, SPAN(edited->text, edited->n), edited->mode);
	if (rc)
		return explain(f, path, rc, "write");
	log_warn("resolv.conf was edited after an earlier run had rewritten it; the edited text is kept", kv_s("file", f->path),
		 kv_s("kept", path));
	return 0;
}

/* A run that was killed while putting back a short text leaves a beginning of the first line, as long as the backup. */
static bool is_torn(const struct textfile *now, const struct textfile *backup)
{
	return now->n > 0 && now->n < magic.n && now->n == backup->n && memcmp(now->text, magic.p, now->n) == 0;
}

int resolv_conf_recover(struct resolv_conf *f)
{
	struct textfile now, backup = { 0 };
	bool is_edited;
	int rc = read_file(f, &now, f->path);

	if (rc)
		return rc;
	const bool is_ours = resolv_conf_is_ours(SPAN(now.text, now.n), &is_edited);
	rc = textfile_read(&backup, f->backup, DNS_CONTROL_FILE_MAX, false);
	if (is_ours && rc) {
		rc = fail(f, rc, "%s was rewritten by an earlier run and its backup %s cannot be read (%s); write %s anew", f->path, f->backup,
			  err_str(rc), f->path);
	} else if (is_ours || (rc == 0 && is_torn(&now, &backup))) {
		rc = is_edited ? keep_edited(f, &now) : 0;
		if (rc == 0)
			rc = put_back(f, &backup);
		if (rc == 0)
			log_info("resolv.conf of an earlier run put back", kv_s("file", f->path), kv_s("backup", f->backup));
	} else {
		rc = 0;
	}
	textfile_free(&now);
	textfile_free(&backup);
	return rc;
}

/* A file that could not be written at all needs no putting back. */
static bool holds(const struct resolv_conf *f, const struct textfile *text)
{
	struct textfile now;

	if (textfile_read(&now, f->path, DNS_CONTROL_FILE_MAX, false))
		return false;
	bool is_whole = is_same(&now, text);
	textfile_free(&now);
	return is_whole;
}

static int write_ours(struct resolv_conf *f, const struct textfile *original, const struct ip *sentinels, size_t n, const char *search_domain)
{
	struct textfile text = { .text = malloc(DNS_CONTROL_FILE_MAX + 1), .mode = original->mode };
	unsigned line;
	int rc;

	if (!text.text)
		return fail(f, ERR_NOMEM, "out of memory");
	rc = resolv_conf_render(SPAN(original->text, original->n), sentinels, n, search_domain, f->backup, text.text,
				DNS_CONTROL_FILE_MAX, &text.n, &line);
	if (rc == ERR_MALFORMED)
		fail(f, rc, "%s, line %u: not understood; correct it, or choose another --dns-control", f->path, line);
	else if (rc)
		fail(f, rc, "%s is too long to be rewritten", f->path);
	if (rc == 0 && original != &f->original) {
		rc = textfile_replace(f->backup, SPAN(original->text, original->n), original->mode);
		if (rc)
			explain(f, f->backup, rc, "write");
		else
			f->stats->backups++;
	}
	if (rc == 0) {
		rc = textfile_rewrite(f->path, SPAN(text.text, text.n), false); /* our first line is there first */
		if (rc) {
			explain(f, f->path, rc, "write");
			if (textfile_rewrite(f->path, SPAN(original->text, original->n), true) && !holds(f, original))
				log_error("resolv.conf is damaged", kv_s("file", f->path), kv_s("backup", f->backup));
		} else {
			f->stats->rewrites++;
		}
	}
	if (rc) {
		textfile_free(&text);
		return rc;
	}
	textfile_free(&f->written);
	f->written = text;
	return 0;
}

int resolv_conf_activate(struct resolv_conf *f, const struct ip *sentinels, size_t n, const char *search_domain)
{
	struct textfile now;
	bool is_edited;
	int rc = read_file(f, &now, f->path);

	if (rc)
		return rc;
	if (is_same(&now, &f->written)) {
		rc = write_ours(f, &f->original, sentinels, n, search_domain);
	} else if (resolv_conf_is_ours(SPAN(now.text, now.n), &is_edited)) {
		f->stats->left_alone++;
		log_warn("resolv.conf was changed by somebody else and is left as it is; names of resources may not resolve", kv_s("file", f->path));
	} else {
		rc = write_ours(f, &now, sentinels, n, search_domain);
		if (rc == 0) {
			textfile_free(&f->original);
			f->original = now;
			return 0;
		}
	}
	textfile_free(&now);
	return rc;
}

int resolv_conf_deactivate(struct resolv_conf *f)
{
	struct textfile now = { 0 };

	if (!f->written.text)
		return 0;
	int rc = read_file(f, &now, f->path);
	if (rc == 0 && is_same(&now, &f->written)) {
		rc = put_back(f, &f->original);
	} else {
		if (rc == 0)
			fail(f, ERR_EXISTS, "%s was changed by somebody else and is left as it is; what was there before is in %s", f->path,
			     f->backup);
		rc = ERR_EXISTS;
		f->stats->left_alone++;
	}
	textfile_free(&now);
	textfile_free(&f->written);
	textfile_free(&f->original);
	return rc;
}

bool resolv_conf_is_taken(const struct resolv_conf *f)
{
	struct textfile now;
	bool is_edited;

	if (!f->written.text || textfile_read(&now, f->path, DNS_CONTROL_FILE_MAX, false))
		return false;
	const bool is_taken = !resolv_conf_is_ours(SPAN(now.text, now.n), &is_edited);
	textfile_free(&now);
	return is_taken;
}

void resolv_conf_free(struct resolv_conf *f)
{
	textfile_free(&f->written);
	textfile_free(&f->original);
}
