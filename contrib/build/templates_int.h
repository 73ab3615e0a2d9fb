/* contrib/build/templates_int.h: inside the template compiler: what its three parts share.
 *
 *   templates.c       reads the file, writes C, keeps white space waiting until it is known what follows
 *   templates_html.c  where in the HTML we are, and what is refused there
 *   templates_code.c  expressions and directives, and what they become
 *
 * The first complaint ends the compilation: tc_fail() keeps it, the others vanish, the loop in templates.c stops.
 */
#pragma once

#include "contrib/build/templates.h"

#include <ctype.h>
#include <string.h>

#define DEPTH_MAX 64u
#define BLOCKS_MAX 32u
#define NAME_CAP 40u
#define ATTRS_MAX 32u
#define CODE_CAP 2048u

enum place {
	TEXT,
	TAG,   /* in a tag, before an attribute */
	GLUED, /* in a tag, behind an attribute: white space or the tag's end must follow */
	VALUE, /* in a quoted value */
};

/* What a URL says so far (attributes of kind URL). */
enum url_phase {
	URL_START,
	URL_EXPR,   /* one expression and nothing else */
	URL_SCHEME, /* literal text that may still turn out to be a scheme */
	URL_INSIDE, /* behind a scheme, '/', '?' or '#' */
};

enum attr_kind { ATTR_PLAIN, ATTR_URL, ATTR_REFRESH };
enum content { CONTENT_NORMAL, CONTENT_KEPT, CONTENT_TEXT_ONLY, CONTENT_JSON, CONTENT_NOTHING };

/* Where in the HTML we are; what branches are compared by. */
struct html {
	enum place place;
	enum url_phase url;
	u32 depth;  /* open elements */
	u32 tag, value; /* which tag, which value: counted from the begin of the template */
};

struct element {
	char name[NAME_CAP];
	enum content content;
	u32 line, blocks;
	bool is_post, has_csrf;
};

enum block_kind { BLOCK_IF, BLOCK_FOR, BLOCK_IN };

struct block {
	enum block_kind kind;
	struct html start, merged;
	bool is_merged, has_else;
	u32 line;
	char code[CODE_CAP]; /* FOR: the count; IN: name(args) */
};

struct tag {
	char name[NAME_CAP];
	char attr[NAME_CAP]; /* the one being read */
	enum attr_kind kind;
	char seen[ATTRS_MAX][NAME_CAP]; /* attributes given whatever branch is taken */
	u32 n_seen, blocks;
	char value[256]; /* literal text of the value being read, cut */
	bool has_expr;
	bool has_alt, has_for, has_type, has_lang, has_src, is_post, is_json, is_named_svg, is_refresh, has_content;
	char scheme[32];
	char quote;
};

enum side { SIDE_EDGE, SIDE_TEXT, SIDE_INLINE, SIDE_BLOCK, SIDE_DIRECTIVE };
enum gap { GAP_NONE, GAP_SPACE, GAP_LINE };

struct compiler {
	const char *file, *p;
	size_t n, i;
	u32 line, said_line;
	struct strbuf *c, *protos, lit;
	struct template_error *e;
	bool failed;

	bool is_inside; /* a template */
	bool has_content, is_second_half;
	char name[NAME_CAP], params[CODE_CAP], layout[CODE_CAP];
	u32 h1;
	bool is_begun; /* something was written */

	struct html html;
	u32 serial;
	struct element stack[DEPTH_MAX];
	struct block blocks[BLOCKS_MAX];
	u32 n_blocks;
	struct tag tag;
	enum side side;
	enum gap gap;
};

static inline bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static inline bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == ':';
}

static inline bool is_ident_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Is `word` one of the words of a list with single spaces? */
bool tc_is_one_of(const char *list, const char *word);

void tc_fail(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- reading ---- */

bool tc_at(const struct compiler *c, const char *s);
char tc_peek(const struct compiler *c, size_t ahead);
/* How much of what follows a message quotes. */
int tc_shown(const struct compiler *c);
void tc_skip(struct compiler *c, size_t n);
void tc_comment(struct compiler *c, const char *end, bool is_html);

/* ---- writing ---- */

void tc_flush(struct compiler *c);
/* One statement; messages of the C compiler then name the template's line. */
void tc_code(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void tc_lit(struct compiler *c, const char *s, size_t n);
/* What comes next in the text: settles the white space before it. */
void tc_settle(struct compiler *c, enum side next);

/* The innermost open element, NULL at the root; and what may be in it. */
struct element *tc_top(struct compiler *c);
enum content tc_content(struct compiler *c);

/* ---- the steps of the loop ---- */

void tc_text(struct compiler *c);
void tc_tag(struct compiler *c);
void tc_value(struct compiler *c);
void tc_expression(struct compiler *c);
void tc_directive(struct compiler *c);
void tc_end_template(struct compiler *c);
