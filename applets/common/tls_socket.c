#include "applets/common/tls_socket.h"

#include "platform/tcp.h"

void tls_flush(struct tls *t, int fd)
{
	struct span out;
	int n;

	while ((out = tls_output(t)).n > 0 && (n = tcp_write(fd, out.p, out.n)) > 0)
		tls_output_done(t, (size_t)n);
}
