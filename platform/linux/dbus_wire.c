#include "platform/linux/dbus_wire.h"

#include "core/base/err.h"

#define SIGNATURE_MAX 255u
#define NAME_MAX_BYTES 255u
#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"

enum field { FIELD_PATH = 1, FIELD_INTERFACE, FIELD_MEMBER, FIELD_ERROR, FIELD_REPLY_SERIAL, FIELD_DESTINATION, FIELD_SENDER, FIELD_SIGNATURE };

/* Alignment counts from the start of the message, or of its body, which is 8-aligned itself. */
struct reader {
	struct rd r;
	const u8 *base;
	bool is_le;
};

static void align(struct reader *r, size_t to)
{
	size_t at = (size_t)(r->r.p - r->base);

	if (at % to)
		rd_skip(&r->r, to - at % to);
}

static u32 read_u32(struct reader *r)
{
	align(r, 4);
	return r->is_le ? rd_le32(&r->r) : rd_be32(&r->r);
}

static struct span text_of(struct reader *r, size_t n)
{
	struct span s = rd_bytes(&r->r, n);

	if (rd_u8(&r->r) != 0 || (s.n && memchr(s.p, '\0', s.n)))
		r->r.failed = true;
	return r->r.failed ? SPAN_NONE : s;
}

static struct span read_string(struct reader *r)
{
	u32 n = read_u32(r);

	return text_of(r, n);
}

static struct span read_signature(struct reader *r)
{
	return text_of(r, rd_u8(&r->r));
}

static bool is(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* --- signatures ------------------------------------------------------------------------------------------------------------------ */

/* Size of a fixed type, which is also its alignment; 0: not fixed. */
static size_t fixed_size(u8 code)
{
	switch (code) {
	case 'y':
		return 1;
	case 'n':
	case 'q':
		return 2;
	case 'b':
	case 'i':
	case 'u':
	case 'h':
		return 4;
	case 'x':
	case 't':
	case 'd':
		return 8;
	default:
		return 0;
	}
}

static size_t alignment(u8 code)
{
	switch (code) {
	case 's':
	case 'o':
	case 'a':
		return 4;
	case 'g':
	case 'v':
		return 1;
	case '(':
	case '{':
		return 8;
	default:
		return fixed_size(code);
	}
}

static bool is_open(u8 c)
{
	return c == '(' || c == '{';
}

static bool is_closing(u8 c)
{
	return c == ')' || c == '}';
}

/* Length of the one complete type at the start; 0: none. Brackets are only counted: what is in them is checked when it is read. */
static size_t complete_type(struct span sig)
{
	size_t depth = 0;

	for (size_t i = 0; i < sig.n; i++) {
		const u8 c = sig.p[i];
		if (is_open(c)) {
			depth++;
		} else if (is_closing(c)) {
			if (depth == 0 || is_open(sig.p[i - 1]))
				return 0;
			depth--;
		} else if (alignment(c) == 0) {
			return 0;
		}
		if (depth == 0 && c != 'a')
			return i + 1;
	}
	return 0;
}

/* --- skipping a value ---------------------------------------------------------------------------------------------------------------- */

struct frame {
	struct span sig;      /* what is still to be read; in an array, the type of its elements */
	const u8 *array_end;  /* NULL: not an array */
};

struct stack {
	struct frame f[DBUS_NESTING_MAX];
	size_t n;
};

static bool push(struct stack *s, struct frame f)
{
	if (s->n == DBUS_NESTING_MAX)
		return false;
	s->f[s->n++] = f;
	return true;
}

static bool enter_array(struct reader *r, struct stack *s, struct span element)
{
	u32 n = read_u32(r);

	align(r, alignment(element.p[0]));
	if (!rd_ok(&r->r) || n > rd_left(&r->r))
		return false;
	return push(s, (struct frame){ element, r->r.p + n });
}

/* Reads one value, or steps into it. */
static bool step_into(struct reader *r, struct stack *s, struct span type)
{
	const u8 code = type.p[0];
	const size_t fixed = fixed_size(code);

	if (fixed) {
		align(r, fixed);
		rd_skip(&r->r, fixed);
		return rd_ok(&r->r);
	}
	if (code == 's' || code == 'o') {
		read_string(r);
		return rd_ok(&r->r);
	}
	if (code == 'g') {
		read_signature(r);
		return rd_ok(&r->r);
	}
	if (code == 'v') {
		struct span inner = read_signature(r);
		return rd_ok(&r->r) && inner.n && complete_type(inner) == inner.n && push(s, (struct frame){ inner, NULL });
	}
	if (code == 'a')
		return enter_array(r, s, SPAN(type.p + 1, type.n - 1));
	align(r, 8);
	return rd_ok(&r->r) && push(s, (struct frame){ SPAN(type.p + 1, type.n - 2), NULL });
}

static bool skip(struct reader *r, struct span sig)
{
	struct stack s = { .n = 0 };

	push(&s, (struct frame){ sig, NULL });
	while (s.n > 0) {
		struct frame *f = &s.f[s.n - 1];
		struct span type = f->sig;
		if (f->array_end ? r->r.p >= f->array_end : type.n == 0) {
			if (f->array_end && r->r.p != f->array_end)
				return false;
			s.n--;
			continue;
		}
		type.n = complete_type(type);
		if (type.n == 0)
			return false;
		if (!f->array_end)
			f->sig = SPAN(f->sig.p + type.n, f->sig.n - type.n);
		if (!step_into(r, &s, type))
			return false;
	}
	return true;
}

/* --- messages -------------------------------------------------------------------------------------------------------------------------- */

static size_t round8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

int dbus_length(struct span head, size_t *total)
{
	if (head.n < DBUS_HEAD)
		return ERR_TRUNCATED;
	if ((head.p[0] != 'l' && head.p[0] != 'B') || head.p[1] == 0 || head.p[3] != 1)
		return ERR_MALFORMED;
	const bool is_le = head.p[0] == 'l';
	const u32 body = is_le ? get_le32(head.p + 4) : get_be32(head.p + 4);
	const u32 fields = is_le ? get_le32(head.p + 12) : get_be32(head.p + 12);
	if (body > DBUS_MESSAGE_MAX || fields > DBUS_MESSAGE_MAX)
		return ERR_LIMIT;
	*total = round8(DBUS_HEAD + fields) + body;
	return *total > DBUS_MESSAGE_MAX ? ERR_LIMIT : 0;
}

static void read_text_field(struct reader *r, struct span sig, struct span *out)
{
	if (is(sig, "s") || is(sig, "o"))
		*out = read_string(r);
	else
		r->r.failed = true;
	if (out->n > NAME_MAX_BYTES && sig.p && sig.p[0] == 's')
		r->r.failed = true;
}

static void read_field(struct reader *r, struct dbus_message *m)
{
	struct span ignored = SPAN_NONE;

	align(r, 8);
	const u8 code = rd_u8(&r->r);
	struct span sig = read_signature(r);
	if (!rd_ok(&r->r))
		return;
	switch (code) {
	case FIELD_PATH:
		read_text_field(r, sig, &m->path);
		return;
	case FIELD_INTERFACE:
		read_text_field(r, sig, &m->interface);
		return;
	case FIELD_MEMBER:
		read_text_field(r, sig, &m->member);
		return;
	case FIELD_ERROR:
		read_text_field(r, sig, &m->error);
		return;
	case FIELD_DESTINATION:
		read_text_field(r, sig, &ignored);
		return;
	case FIELD_SENDER:
		read_text_field(r, sig, &m->sender);
		return;
	case FIELD_REPLY_SERIAL:
		if (is(sig, "u"))
			m->reply_serial = read_u32(r);
		else
			r->r.failed = true;
		return;
	case FIELD_SIGNATURE:
		if (is(sig, "g"))
			m->signature = read_signature(r);
		else
			r->r.failed = true;
		return;
	default:
		if (complete_type(sig) != sig.n || sig.n == 0 || !skip(r, sig))
			r->r.failed = true;
	}
}

int dbus_parse(struct span whole, struct dbus_message *out)
{
	size_t total;
	int rc = dbus_length(whole, &total);

	*out = (struct dbus_message){ 0 };
	if (rc == 0 && total != whole.n)
		rc = ERR_MALFORMED;
	if (rc)
		return ERR_MALFORMED;
	out->type = whole.p[1];
	out->flags = whole.p[2];
	out->is_le = whole.p[0] == 'l';
	struct reader r = { rd_span(whole), whole.p, out->is_le };
	rd_skip(&r.r, 4);
	const u32 body = read_u32(&r);
	out->serial = read_u32(&r);
	const u32 fields = read_u32(&r);
	const u8 *const body_at = whole.p + whole.n - body;
	r.r.end = whole.p + DBUS_HEAD + fields;
	while (rd_ok(&r.r) && rd_left(&r.r) > 0)
		read_field(&r, out);
	if (!rd_ok(&r.r) || out->serial == 0)
		return ERR_MALFORMED;
	out->body = SPAN(body_at, body);
	return 0;
}

int dbus_properties_changed(const struct dbus_message *m, struct span *interface, const char *property, bool *has)
{
	struct reader r = { rd_span(m->body), m->body.p, m->is_le };

	*has = false;
	*interface = SPAN_NONE;
	if (!is(m->signature, "sa{sv}as"))
		return ERR_MALFORMED;
	*interface = read_string(&r);
	u32 n = read_u32(&r);
	align(&r, 8);
	if (!rd_ok(&r.r) || n > rd_left(&r.r))
		return ERR_MALFORMED;
	for (const u8 *end = r.r.p + n; rd_ok(&r.r) && r.r.p < end;) {
		align(&r, 8);
		struct span name = read_string(&r);
		*has |= !property || is(name, property);
		if (!rd_ok(&r.r) || !skip(&r, SPAN_STR("v")) || r.r.p > end)
			return ERR_MALFORMED;
	}
	n = read_u32(&r);
	if (!rd_ok(&r.r) || n != rd_left(&r.r))
		return ERR_MALFORMED;
	while (rd_ok(&r.r) && rd_left(&r.r) > 0) {
		struct span name = read_string(&r);
		*has |= !property || is(name, property);
	}
	return rd_done(&r.r) ? 0 : ERR_MALFORMED;
}

/* --- writing --------------------------------------------------------------------------------------------------------------------------- */

static void pad(struct wr *w, const u8 *base, size_t to)
{
	size_t at = (size_t)(w->p - base);

	if (at % to)
		wr_zero(w, to - at % to);
}

static void write_string(struct wr *w, const u8 *base, const char *text)
{
	pad(w, base, 4);
	wr_le32(w, (u32)strlen(text));
	wr_str(w, text);
	wr_u8(w, 0);
}

static void write_field(struct wr *w, const u8 *base, enum field code, char type, const char *text)
{
	pad(w, base, 8);
	wr_u8(w, (u8)code);
	wr_u8(w, 1);
	wr_u8(w, (u8)type);
	wr_u8(w, 0);
	if (type == 'g') {
		wr_u8(w, (u8)strlen(text));
		wr_str(w, text);
		wr_u8(w, 0);
	} else {
		write_string(w, base, text);
	}
}

int dbus_write_call(struct wr *w, u32 serial, const char *member, const char *arg)
{
	u8 *const base = w->p;

	wr_u8(w, 'l');
	wr_u8(w, DBUS_CALL);
	wr_u8(w, 0);
	wr_u8(w, 1);
	wr_le32(w, arg ? (u32)(4 + strlen(arg) + 1) : 0);
	wr_le32(w, serial);
	wr_le32(w, 0); /* length of the fields, below */
	write_field(w, base, FIELD_PATH, 'o', BUS_PATH);
	write_field(w, base, FIELD_INTERFACE, 's', BUS);
	write_field(w, base, FIELD_MEMBER, 's', member);
	write_field(w, base, FIELD_DESTINATION, 's', BUS);
	if (arg)
		write_field(w, base, FIELD_SIGNATURE, 'g', "s");
	if (!wr_ok(w))
		return ERR_LIMIT;
	put_le32(base + 12, (u32)((size_t)(w->p - base) - DBUS_HEAD));
	pad(w, base, 8);
	if (arg)
		write_string(w, base, arg);
	return wr_ok(w) ? 0 : ERR_LIMIT;
}
