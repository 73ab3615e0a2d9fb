/* tests/unit/dbus_build.h: D-Bus messages in either byte order, for tests. Written from the specification, apart from the product's writer. */
#pragma once

#include "core/base/types.h"

#include <string.h>

struct dbus_build {
	u8 b[4096];
	size_t n;
	bool is_be;
};

static inline void db_u8(struct dbus_build *d, u8 v)
{
	d->b[d->n++] = v;
}

static inline void db_align(struct dbus_build *d, size_t to)
{
	while (d->n % to)
		db_u8(d, 0);
}

static inline void db_put32(struct dbus_build *d, size_t at, u32 v)
{
	for (unsigned i = 0; i < 4; i++)
		d->b[at + i] = (u8)(v >> (d->is_be ? 24 - 8 * i : 8 * i));
}

static inline void db_u32(struct dbus_build *d, u32 v)
{
	db_align(d, 4);
	db_put32(d, d->n, v);
	d->n += 4;
}

static inline void db_str(struct dbus_build *d, const char *s)
{
	db_u32(d, (u32)strlen(s));
	memcpy(d->b + d->n, s, strlen(s) + 1);
	d->n += strlen(s) + 1;
}

static inline void db_sig(struct dbus_build *d, const char *s)
{
	db_u8(d, (u8)strlen(s));
	memcpy(d->b + d->n, s, strlen(s) + 1);
	d->n += strlen(s) + 1;
}

static inline void db_field(struct dbus_build *d, u8 code, const char *type, const char *value)
{
	db_align(d, 8);
	db_u8(d, code);
	db_sig(d, type);
	if (*type == 'g')
		db_sig(d, value);
	else
		db_str(d, value);
}

/* The header; `signature` "" for no body. The body follows. */
static inline struct dbus_build db_message(bool is_be, u8 type, const char *path, const char *interface, const char *member, u32 reply_to,
					   const char *signature)
{
	struct dbus_build d = { .is_be = is_be };

	db_u8(&d, is_be ? 'B' : 'l');
	db_u8(&d, type);
	db_u8(&d, 1);
	db_u8(&d, 1);
	db_u32(&d, 0);
	db_u32(&d, 77);
	db_u32(&d, 0);
	if (path)
		db_field(&d, 1, "o", path);
	if (interface)
		db_field(&d, 2, "s", interface);
	if (member)
		db_field(&d, 3, "s", member);
	if (reply_to) {
		db_align(&d, 8);
		db_u8(&d, 5);
		db_sig(&d, "u");
		db_u32(&d, reply_to);
	}
	db_field(&d, 7, "s", ":1.7");
	if (*signature)
		db_field(&d, 8, "g", signature);
	db_put32(&d, 12, (u32)d.n - 16);
	db_align(&d, 8);
	return d;
}

/* `body_at` is d->n right after db_message(). */
static inline void db_finish(struct dbus_build *d, size_t body_at)
{
	db_put32(d, 4, (u32)(d->n - body_at));
}

/* PropertiesChanged of `interface`: `property` with a value of nested containers, and `gone` invalidated (either may be NULL). */
static inline struct dbus_build db_properties(bool is_be, const char *path, const char *interface, const char *property, const char *gone)
{
	struct dbus_build d = db_message(is_be, 4, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", 0, "sa{sv}as");
	const size_t body = d.n;
	size_t at, start;

	db_str(&d, interface);
	db_u32(&d, 0);
	at = d.n - 4;
	db_align(&d, 8);
	start = d.n;
	if (property) {
		db_align(&d, 8);
		db_str(&d, "Other");
		db_sig(&d, "a(iiay)"); /* as resolve1's DNS */
		db_u32(&d, 0);
		size_t inner = d.n - 4;
		db_align(&d, 8);
		size_t inner_start = d.n;
		for (u32 i = 0; i < 2; i++) {
			db_align(&d, 8);
			db_u32(&d, i);
			db_u32(&d, 2);
			db_u32(&d, 4);
			for (u8 k = 0; k < 4; k++)
				db_u8(&d, k);
		}
		db_put32(&d, inner, (u32)(d.n - inner_start));
		db_align(&d, 8);
		db_str(&d, property);
		db_sig(&d, "v");
		db_sig(&d, "o");
		db_str(&d, "/org/freedesktop/NetworkManager/ActiveConnection/2");
	}
	db_put32(&d, at, (u32)(d.n - start));
	db_u32(&d, 0);
	at = d.n - 4;
	if (gone)
		db_str(&d, gone);
	db_put32(&d, at, (u32)(d.n - at - 4));
	db_finish(&d, body);
	return d;
}
