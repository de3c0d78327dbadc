/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Preloaded into a program, adds the number of seconds that stands in the file
 * SHIFTED_CLOCK names, an int64_t, to the wall clock that the program sees. The
 * number may change at any time. No other clock is touched.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void map_shift(void) {
  const int fd = open(getenv("SHIFTED_CLOCK"), O_RDONLY | O_CLOEXEC);
  void *memory = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) abort();
  close(fd);
  shift = memory;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result == 0 &&
      (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    now->tv_sec += *shift;
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict timezone) {
  struct timespec precise;
  (void)timezone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
