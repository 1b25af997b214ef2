// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "session.h"
#include "util.h"

enum { SECOND = 1000000000, TOLERATED = 100000000 };

void clock_set(uint64_t nanoseconds)
{
	struct timespec now, host = { .tv_sec = (time_t)(nanoseconds / SECOND),
				      .tv_nsec = (long)(nanoseconds % SECOND) };
	int64_t seconds, difference = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	seconds = (int64_t)host.tv_sec - (int64_t)now.tv_sec;
	if (seconds >= -1 && seconds <= 1)
		difference = seconds * SECOND + host.tv_nsec - now.tv_nsec;
	if (seconds > 1 || seconds < -1 || difference > TOLERATED || difference < -TOLERATED)
		clock_settime(CLOCK_REALTIME, &host);
}

int clock_seed(const uint8_t *bytes, size_t n)
{
	cleanup_fd int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	struct {
		int bits, size;
		uint8_t bytes[64];
	} seed = { .bits = (int)n * 8, .size = (int)n };

	if (n > sizeof(seed.bytes))
		errno = EINVAL;
	if (fd < 0 || n > sizeof(seed.bytes))
		return -1;
	memcpy(seed.bytes, bytes, n);
	if (ioctl(fd, RNDADDENTROPY, &seed) < 0)
		return -1;
	// Else the kernel takes it up up to a minute later, and clones of a saved VM draw the same
	// numbers until then.
	return ioctl(fd, RNDRESEEDCRNG);
}
