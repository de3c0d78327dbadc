/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Preloaded into a program, kills the process with SIGKILL when it has copied
 * half of something that begins with the text KILLED_IN_COPY into memory that
 * it shares with others.
 */

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "KILLED_IN_COPY";

static int is_shared(const void *memory) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512];
  int shared = 0;
  while (!shared && fgets(line, sizeof(line), maps) != NULL) {
    uintptr_t begin, end;
    char permissions[5];
    if (sscanf(line, "%lx-%lx %4s", &begin, &end, permissions) != 3) continue;
    shared = begin <= (uintptr_t)memory && (uintptr_t)memory < end &&
             permissions[3] == 's';
  }
  fclose(maps);
  return shared;
}

void *memcpy(void *to, const void *from, size_t size) {
  if (size > sizeof(text) && memcmp(from, text, sizeof(text) - 1) == 0 &&
      is_shared(to)) {
    memmove(to, from, size / 2);
    kill(getpid(), SIGKILL);
  }
  return memmove(to, from, size);
}
