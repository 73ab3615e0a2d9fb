/* core/base/qr.h: QR codes (ISO/IEC 18004, model 2): a text as black and white squares, for screens and terminals.
 *
 * Byte mode, error correction level M (15 %), versions 1 to 20, the mask with the least penalty. Nothing allocates; a struct qr is 2.4 KB.
 */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

#define QR_VERSION_MAX 20u
#define QR_SIZE_MAX (17u + 4u * QR_VERSION_MAX)
#define QR_TEXT_MAX 666u /* bytes; version 20 */
#define QR_QUIET 4u	 /* white squares that must be around it */

struct qr {
	u32 size; /* squares of a side */
	u8 dark[(QR_SIZE_MAX * QR_SIZE_MAX + 7) / 8];
	u8 fixed[(QR_SIZE_MAX * QR_SIZE_MAX + 7) / 8]; /* not data: patterns, format, version */
};

/* ERR_LIMIT: longer than QR_TEXT_MAX. */
int qr_encode(struct qr *q, struct span text) MUST_CHECK;

/* Outside of it everything is white. */
bool qr_is_dark(const struct qr *q, int x, int y);
