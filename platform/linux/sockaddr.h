/* platform/linux/sockaddr.h: between our endpoints and the kernel's socket addresses. */
#pragma once

#include "core/ip/addr.h"

#include <netinet/in.h>
#include <sys/socket.h>

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Returns the length, 0 when the endpoint has no address. */
socklen_t sockaddr_from(union sockaddr_any *out, const struct endpoint *ep);
/* False for another family. IPv4-mapped IPv6 becomes IPv4. */
bool sockaddr_to(const union sockaddr_any *sa, struct endpoint *out);
/* The reason behind an errno of a socket call. */
int sock_err(int e);
