#include "core/tunnel/stats.h"

const char *tunnel_drop_name(enum tunnel_drop d)
{
	static const char *const names[DROP_COUNT] = {
#define X(name, text) [DROP_##name] = text,
		TUNNEL_DROPS(X)
#undef X
	};
	return d < DROP_COUNT ? names[d] : "?";
}
