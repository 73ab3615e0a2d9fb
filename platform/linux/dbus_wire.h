/* platform/linux/dbus_wire.h: D-Bus messages as bytes (D-Bus specification 0.38, "Message Protocol").
 *
 * Reads both byte orders, writes little endian. Nothing here allocates or recurses; spans point into the message.
 */
#pragma once

#include "core/base/cursor.h"

#define DBUS_MESSAGE_MAX 65536u  /* the specification allows 128 MiB; signals of interest have hundreds of bytes */
#define DBUS_HEAD 16u            /* enough to know the length */
#define DBUS_NESTING_MAX 64u     /* arrays, structs and variants within each other */

enum dbus_type { DBUS_CALL = 1, DBUS_RETURN = 2, DBUS_ERROR = 3, DBUS_SIGNAL = 4 };

struct dbus_message {
	u8 type; /* enum dbus_type; others are to be ignored */
	u8 flags;
	bool is_le;
	u32 serial, reply_serial; /* reply_serial 0: none */
	struct span path, interface, member, error, sender, signature;
	struct span body; /* starts 8-aligned */
};

/* The whole length of the message that starts with these bytes. ERR_TRUNCATED: fewer than DBUS_HEAD. ERR_MALFORMED. ERR_LIMIT. */
int dbus_length(struct span head, size_t *total) MUST_CHECK;
/* One whole message. ERR_MALFORMED. */
int dbus_parse(struct span whole, struct dbus_message *out) MUST_CHECK;

/* PropertiesChanged (signature sa{sv}as): whether the named properties of `*interface` contain `property` (NULL: any). ERR_MALFORMED also
 * when the signature is another one. */
int dbus_properties_changed(const struct dbus_message *m, struct span *interface, const char *property, bool *has) MUST_CHECK;

/* A call of a method of the bus itself (org.freedesktop.DBus), with one string argument or NULL. ERR_LIMIT: does not fit. */
int dbus_write_call(struct wr *w, u32 serial, const char *member, const char *arg) MUST_CHECK;
