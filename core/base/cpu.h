/* core/base/cpu.h: what this processor can do. A bare look at it instead of libgcc's table of all processors (6 KB). */
#pragma once

#include <stdbool.h>

/* AVX2, and a kernel that keeps its registers. One comparison after the first call. */
bool cpu_has_avx2(void);
