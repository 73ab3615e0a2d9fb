/* `emberbox portal …` with a wall clock that can be set: what the file CLOCK_FILE says (text: seconds, may be negative) is added to it, and looked at
 * anew at each reading. Monotonic time stays what it is. The C library's clock_gettime() is replaced in this program, so that nothing of the portal is
 * different; libfaketime cannot get into a static program, and would also bend the monotonic clock. See test_portal_clock.sh. */
#include "applets/applet.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE 32 /* the text and NULs behind it */

static const char *offset;

static void open_offset(void)
{
	const char *path = getenv("CLOCK_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		perror("CLOCK_FILE");
		exit(1);
	}
	close(fd);
	offset = p;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (rc == 0 && id == CLOCK_REALTIME && offset)
		ts->tv_sec += strtol(offset, NULL, 10);
	return rc;
}

int main(int argc, char **argv)
{
	open_offset();
	return portal_main(argc, argv);
}
