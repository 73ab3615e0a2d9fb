#include "core/base/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>

#define XMM_AND_YMM 6u /* of XCR0 */

static bool look(void)
{
	unsigned a, b, c, d, kept;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
		return false;
	__asm__("xgetbv" : "=a"(kept), "=d"(d) : "c"(0));
	return (kept & XMM_AND_YMM) == XMM_AND_YMM && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_AVX2;
}

bool cpu_has_avx2(void)
{
	static enum { UNKNOWN, NO, YES } has;

	if (has == UNKNOWN)
		has = look() ? YES : NO;
	return has == YES;
}
#else
bool cpu_has_avx2(void)
{
	return false;
}
#endif
