/* applets/common/tls_socket.h: TLS over a socket of ours, as every client of the programs has it. */
#pragma once

#include "core/http/tls.h"

/* Writes what TLS has to say by itself, handshake and farewell, as far as the socket takes it; the rest stays in tls_output(). */
void tls_flush(struct tls *t, int fd);
