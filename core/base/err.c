#include "core/base/err.h"

const char *err_str(int err)
{
	if (err >= 0)
		return "success";
	switch ((enum err)err) {
	case OK: return "success";
	case ERR_NOMEM: return "out of memory";
	case ERR_INVAL: return "invalid value";
	case ERR_MALFORMED: return "malformed data";
	case ERR_TRUNCATED: return "truncated data";
	case ERR_LIMIT: return "limit reached";
	case ERR_NOT_FOUND: return "not found";
	case ERR_EXISTS: return "already exists";
	case ERR_STATE: return "not possible in this state";
	case ERR_AGAIN: return "not ready yet";
	case ERR_NOT_OURS: return "belongs to another owner";
	case ERR_AUTH: return "authentication failed";
	case ERR_DENIED: return "not permitted";
	case ERR_REPLAY: return "replayed";
	case ERR_EXPIRED: return "expired";
	case ERR_TIMEOUT: return "timed out";
	case ERR_CLOSED: return "closed by the other side";
	case ERR_IO: return "input/output error";
	case ERR_UNSUPPORTED: return "not supported";
	case ERR_NO_ROUTE: return "no route";
	case ERR_NO_RELAY: return "no relay available";
	case ERR_INTERNAL: return "internal error";
	}
	return "unknown error";
}
