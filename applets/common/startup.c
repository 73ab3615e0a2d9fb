#define LOG_TARGET "startup"
#include "applets/common/startup.h"

#include "core/base/err.h"
#include "core/base/log.h"

#include <stdio.h>
#include <string.h>

static const char *advice(const char *what, int err)
{
	bool is_tun = strcmp(what, "TUN device") == 0;

	if (err == ERR_DENIED && is_tun)
		return "; run it as root or with the capability CAP_NET_ADMIN, and let it open /dev/net/tun (rules of the unit or container)";
	if (err == ERR_NOT_FOUND && is_tun)
		return "; /dev/net/tun is missing and cannot be made: load the module \"tun\", or give it to the container (--device /dev/net/tun)";
	if (err == ERR_DENIED)
		return "; run it as root or with the capability CAP_NET_ADMIN";
	if (err == ERR_EXISTS && is_tun)
		return "; another client or gateway uses this interface name: stop it or choose another --tun-name";
	if (err == ERR_UNSUPPORTED && is_tun)
		return "; the kernel has no TUN: load the module \"tun\"";
	return "";
}

int startup_fail(const char *program, const char *what, int err)
{
	log_error("cannot start", kv_s("part", what), kv_err(err));
	fprintf(stderr, "%s: %s: %s%s\n", program, what, err_str(err), advice(what, err));
	return 1;
}
