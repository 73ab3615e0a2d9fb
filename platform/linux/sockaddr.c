#include "platform/linux/sockaddr.h"

#include "core/base/err.h"

#include <errno.h>

socklen_t sockaddr_from(union sockaddr_any *out, const struct endpoint *ep)
{
	memset(out, 0, sizeof(*out));
	if (ep->ip.family == 4) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(ep->port);
		memcpy(&out->v4.sin_addr, ep->ip.b, 4);
		return sizeof(out->v4);
	}
	if (ep->ip.family == 6) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(ep->port);
		memcpy(&out->v6.sin6_addr, ep->ip.b, 16);
		return sizeof(out->v6);
	}
	return 0;
}

bool sockaddr_to(const union sockaddr_any *sa, struct endpoint *out)
{
	static const u8 mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	if (sa->sa.sa_family == AF_INET) {
		*out = (struct endpoint){ ip_from_bytes(4, (const u8 *)&sa->v4.sin_addr), ntohs(sa->v4.sin_port) };
		return true;
	}
	if (sa->sa.sa_family != AF_INET6)
		return false;
	const u8 *b = sa->v6.sin6_addr.s6_addr;
	bool is_mapped = memcmp(b, mapped, sizeof(mapped)) == 0;
	out->ip = is_mapped ? ip_from_bytes(4, b + 12) : ip_from_bytes(6, b);
	out->port = ntohs(sa->v6.sin6_port);
	return true;
}

int sock_err(int e)
{
	switch (e) {
	case 0:
		return 0;
	case EAGAIN:
	case EINPROGRESS:
	case EALREADY:
		return ERR_AGAIN;
	case EPERM:
	case EACCES:
		return ERR_DENIED;
	case EADDRINUSE:
		return ERR_EXISTS;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EADDRNOTAVAIL:
		return ERR_NO_ROUTE;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENOTCONN:
		return ERR_CLOSED;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	case EMFILE:
	case ENFILE:
		return ERR_LIMIT;
	case ENOMEM:
	case ENOBUFS:
		return ERR_NOMEM;
	default:
		return ERR_IO;
	}
}
