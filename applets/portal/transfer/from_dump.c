/* The tables of a pg_dump in plain text: `COPY public.actors (id, name, …) FROM stdin;`, a row a line, a tab between columns, \N for null. */
#include "applets/portal/transfer/transfer.h"

#include "core/base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 96u
#define ACCOUNTS_MAX 64u

static const struct {
	const char *table, *member;
} wanted[] = {
	{ "actors", "actors" },	  { "groups", "groups" },	{ "memberships", "memberships" },
	{ "sites", "sites" },	  { "resources", "resources" }, { "policies", "policies" },
};

/* Columns of the table that is read. */
struct copy {
	struct span name[COLUMNS_MAX];
	u32 n;
};

static bool is_word(struct span s, const char *word)
{
	return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static struct span next_line(struct span *text)
{
	const u8 *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
	size_t n = end ? (size_t)(end - text->p) : text->n;
	struct span line = { text->p, n > 0 && text->p[n - 1] == '\r' ? n - 1 : n };

	text->p += n + (end != NULL);
	text->n -= n + (end != NULL);
	return line;
}

/* "COPY public.actors (id, "type") FROM stdin;": which table, and its columns. */
static bool parse_head(struct span line, struct span *table, struct copy *c)
{
	const char *p = (const char *)line.p, *end = p + line.n;

	c->n = 0;
	if (line.n < 6 || memcmp(p, "COPY ", 5) != 0)
		return false;
	p += 5;
	const char *open = memchr(p, '(', (size_t)(end - p));
	if (!open)
		return false;
	const char *dot = memchr(p, '.', (size_t)(open - p)), *name = dot ? dot + 1 : p;
	while (open > name && (open[-1] == ' ' || open[-1] == '"'))
		open--;
	while (*name == '"')
		name++;
	*table = SPAN(name, (size_t)(open - name));
	for (p = memchr(name, '(', (size_t)(end - name)) + 1; p < end && *p != ')' && c->n < COLUMNS_MAX;) {
		while (p < end && (*p == ' ' || *p == ',' || *p == '"'))
			p++;
		const char *start = p;
		while (p < end && *p != ',' && *p != ')' && *p != '"')
			p++;
		if (p > start)
			c->name[c->n++] = SPAN(start, (size_t)(p - start));
		while (p < end && *p == '"')
			p++;
	}
	return c->n > 0;
}

/* One column of a row, unescaped (free()); NULL for null or when there is none. */
static char *column(const struct copy *c, struct span line, const char *name)
{
	const u8 *p = line.p, *end = line.p + line.n;
	u32 i = 0;

	while (i < c->n && !is_word(c->name[i], name))
		i++;
	for (u32 skip = i; skip > 0 && p; skip--) {
		p = p < end ? memchr(p, '\t', (size_t)(end - p)) : NULL;
		p = p ? p + 1 : NULL;
	}
	if (i == c->n || !p || (end - p >= 2 && p[0] == '\\' && p[1] == 'N'))
		return NULL;
	struct strbuf b = { .p = NULL };
	for (; p < end && *p != '\t'; p++) {
		static const char codes[] = "tnrbfv", bytes[] = "\t\n\r\b\f\v";
		const char *code;

		if (*p != '\\' || p + 1 == end) {
			strbuf_putc(&b, (char)*p);
			continue;
		}
		p++;
		code = strchr(codes, *p);
		strbuf_putc(&b, code && *p ? bytes[code - codes] : (char)*p);
	}
	return b.n ? strbuf_take(&b) : strdup("");
}

/* A jsonb column as it is; one of jsonb[], {"{\"a\": 1}",…}, as an array. */
static void put_json(struct json_out *o, const char *key, const char *text)
{
	struct cJSON *v = NULL;

	if (text[0] == '[' && json_parse(SPAN(text, strlen(text)), NULL, &v) == 0) {
		json_put_tree(o, key, v);
		json_free(v);
		return;
	}
	json_open_array(o, key);
	for (const char *p = text + (*text == '{'); *p && *p != '}';) {
		struct strbuf one = { .p = NULL };

		while (*p == ',')
			p++;
		if (*p != '"')
			break;
		for (p++; *p && *p != '"'; p++) {
			p += *p == '\\' && p[1];
			strbuf_putc(&one, *p);
		}
		p += *p == '"';
		if (json_parse(strbuf_span(&one), NULL, &v) == 0) {
			json_put_tree(o, NULL, v);
			json_free(v);
		}
		strbuf_free(&one);
	}
	json_close_array(o);
}

static void put_row(struct json_out *o, const struct copy *c, struct span line)
{
	static const char *const texts[] = { "id", "name", "type", "email", "disabled_at", "group_id", "actor_id", "site_id", "resource_id", "address",
					     "address_description", "ip_stack", "description", "managed_by", "allow_email_otp_sign_in" };
	static const char *const jsons[] = { "filters", "conditions" };

	json_open(o, NULL);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char *v = column(c, line, texts[i]);
		if (v)
			json_put_str(o, texts[i], v);
		free(v);
	}
	for (size_t i = 0; i < ARRAY_LEN(jsons); i++) {
		char *v = column(c, line, jsons[i]);
		if (v)
			put_json(o, jsons[i], v);
		free(v);
	}
	json_close(o);
}

/* Which account's rows are wanted: by id or slug, or the only one. */
static int find_account(struct span text, const char *wish, char id[static 40], char *why)
{
	struct span table;
	struct copy c;
	u32 n = 0;

	id[0] = '\0';
	while (text.n > 0) {
		struct span line = next_line(&text);

		if (!parse_head(line, &table, &c) || !is_word(table, "accounts"))
			continue;
		while (text.n > 0) {
			line = next_line(&text);
			if (is_word(line, "\\."))
				break;
			char *row_id = column(&c, line, "id"), *slug = column(&c, line, "slug");
			if (row_id && (!wish || strcmp(row_id, wish) == 0 || (slug && strcmp(slug, wish) == 0))) {
				snprintf(id, 40, "%s", row_id);
				n++;
			}
			free(row_id);
			free(slug);
		}
	}
	if (n == 1 || (n == 0 && !wish))
		return 0;
	snprintf(why, TRANSFER_WHY_MAX, n ? "the dump holds %u accounts: say which with --from-account SLUG" : "the dump holds no such account", n);
	return n ? ERR_INVAL : ERR_NOT_FOUND;
}

int dump_read(struct span text, const char *account, struct json_out *out, char why[static TRANSFER_WHY_MAX])
{
	char id[40];
	u32 tables = 0;
	int rc = find_account(text, account, id, why);

	if (rc)
		return rc;
	json_open(out, NULL);
	while (text.n > 0) {
		struct span line = next_line(&text), table;
		const char *member = NULL;
		struct copy c;

		if (!parse_head(line, &table, &c))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
			if (is_word(table, wanted[i].table))
				member = wanted[i].member;
		if (member)
			json_open_array(out, member);
		while (text.n > 0) {
			line = next_line(&text);
			if (is_word(line, "\\."))
				break;
			char *owner = member && id[0] ? column(&c, line, "account_id") : NULL;
			if (member && (!owner || strcmp(owner, id) == 0))
				put_row(out, &c, line);
			free(owner);
		}
		if (member)
			json_close_array(out);
		tables += member != NULL;
	}
	json_close(out);
	if (tables)
		return json_ok(out) ? 0 : ERR_NOMEM;
	snprintf(why, TRANSFER_WHY_MAX, "there are no tables in it: a dump in plain text is needed (pg_dump --format=plain)");
	return ERR_MALFORMED;
}
