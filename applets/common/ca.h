/* applets/common/ca.h: whom to trust: the certificates of a file or of the system.
 */
#pragma once

#include "core/base/types.h"

struct tls_anchors;

#define CA_FILE_MAX (16u * 1024u * 1024u)

/* `file` NULL: $SSL_CERT_FILE, else the first of the places where systems keep their bundle. ERR_NOT_FOUND, ERR_IO and those of
 * tls_anchors_new(), with a sentence in `why`. */
int ca_load(const char *file, struct tls_anchors **out, char *why, size_t why_cap) MUST_CHECK;
