/* core_gap SECONDS: looks at the clock all the time and prints the longest time, in microseconds, for which it could not: what the machine itself
 * (other programs, the hypervisor) adds to whatever is measured on this core. */
#include "platform/sys.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	u64 last = sys_now(), until = last + SEC(argc > 1 ? strtoul(argv[1], NULL, 10) : 1), longest = 0;

	while (last < until) {
		u64 now = sys_now();

		longest = MAX(longest, now - last);
		last = now;
	}
	printf("%llu\n", (unsigned long long)(longest / 1000));
	return 0;
}
