// SPDX-License-Identifier: GPL-3.0-or-later

// A directory of its own for Unix sockets, removed with the object. It lies
// under /tmp: a path below the test's own folder may be too long for a socket.
// Everyone may enter it.
#ifndef CONTROL_API_TESTING_SHORT_DIRECTORY_H_
#define CONTROL_API_TESTING_SHORT_DIRECTORY_H_

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {

class ShortDirectory {
 public:
  ShortDirectory() {
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
    EXPECT_EQ(chmod(path_.c_str(), 0755), 0);
  }
  ~ShortDirectory() { std::filesystem::remove_all(path_); }
  ShortDirectory(const ShortDirectory&) = delete;
  ShortDirectory& operator=(const ShortDirectory&) = delete;

  std::string Path(absl::string_view name) const {
    return absl::StrCat(path_, "/", name);
  }

 private:
  std::string path_ = "/tmp/control_XXXXXX";
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_SHORT_DIRECTORY_H_
