/* Bytes of the system bus: the length of a message, its fields, and the properties in it. */
#include "platform/linux/dbus_wire.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void is_inside(struct span part, const uint8_t *data, size_t size)
{
	if (part.n > 0 && (part.p < data || part.n > size || part.p > data + size - part.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dbus_message m;
	struct span interface;
	size_t total;
	bool has;

	int rc = dbus_length(SPAN(data, size), &total);
	if (rc == 0 && (total < DBUS_HEAD || total > DBUS_MESSAGE_MAX))
		abort();
	if (rc || total > size || dbus_parse(SPAN(data, total), &m))
		return 0;
	is_inside(m.path, data, total);
	is_inside(m.interface, data, total);
	is_inside(m.member, data, total);
	is_inside(m.error, data, total);
	is_inside(m.sender, data, total);
	is_inside(m.signature, data, total);
	is_inside(m.body, data, total);
	if (dbus_properties_changed(&m, &interface, "PrimaryConnection", &has) == 0)
		is_inside(interface, data, total);
	return 0;
}
