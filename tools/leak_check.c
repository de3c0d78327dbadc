/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * To be preloaded into a program whose processes end by _exit(2), where
 * LeakSanitizer does not look for leaks by itself.
 */
#define _GNU_SOURCE /* syscall() */

#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void _exit(int status) {
  sigset_t blocked;

  /* A handler of SIGTERM may have interrupted malloc(). */
  pthread_sigmask(SIG_BLOCK, NULL, &blocked);
  if (!sigismember(&blocked, SIGTERM)) __lsan_do_recoverable_leak_check();
  syscall(SYS_exit_group, status);
  __builtin_unreachable();
}
