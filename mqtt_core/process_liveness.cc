// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/process_liveness.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace kamailio_mqtt {
namespace {

struct ProcessStat {
  char state;
  int64_t threads;
  int64_t start_ticks;  // Since boot, rounded down.
};

// Reads /proc/<pid>/stat, see proc(5).  Counted from the state, which follows
// the last parenthesis (the program's name may hold some too), the number of
// threads is field 17 and the start time field 19.
absl::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/stat");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::nullopt;
  char buffer[1024];
  const ssize_t length = read(fd, buffer, sizeof(buffer));
  close(fd);
  if (length <= 0) return absl::nullopt;

  const absl::string_view line(buffer, length);
  const size_t name_end = line.rfind(") ");
  if (name_end == absl::string_view::npos) return absl::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line.substr(name_end + 2), ' ');
  ProcessStat stat;
  if (fields.size() < 20 || fields[0].size() != 1 ||
      !absl::SimpleAtoi(fields[17], &stat.threads) ||
      !absl::SimpleAtoi(fields[19], &stat.start_ticks)) {
    return absl::nullopt;
  }
  stat.state = fields[0][0];
  return stat;
}

int64_t ToTicks(std::chrono::nanoseconds time) {
  const std::chrono::nanoseconds tick =
      std::chrono::nanoseconds(std::chrono::seconds(1)) / sysconf(_SC_CLK_TCK);
  return time / tick;
}

}  // namespace

std::chrono::nanoseconds TimeSinceBoot() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::nanoseconds(now.tv_nsec);
}

bool ProcessMayStillRun(pid_t pid, std::chrono::nanoseconds known_at) {
  if (kill(pid, 0) != 0 && errno == ESRCH) return false;
  const absl::optional<ProcessStat> stat = ReadProcessStat(pid);
  if (!stat.has_value()) {
    // Gone since the line above, or hidden from us.
    return kill(pid, 0) == 0 || errno != ESRCH;
  }
  if (stat->start_ticks > ToTicks(known_at)) return false;
  // A process whose first thread has ended is a zombie by its state though the
  // others may run on; while it is being killed, they may do so for a moment.
  const bool ended = stat->state == 'Z' || stat->state == 'X';
  return !ended || stat->threads > 1;
}

}  // namespace kamailio_mqtt
