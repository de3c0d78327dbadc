// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/tls_files.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {

TlsFiles::TlsFiles() : directory_(testing::TempDir() + "/tls_files_XXXXXX") {
  EXPECT_NE(mkdtemp(directory_.data()), nullptr) << directory_;
}

TlsFiles::~TlsFiles() { std::filesystem::remove_all(directory_); }

std::string TlsFiles::Path(absl::string_view name) const {
  return absl::StrCat(directory_, "/", name);
}

std::string TlsFiles::Read(absl::string_view name) const {
  std::ifstream file(Path(name), std::ios::binary);
  EXPECT_TRUE(file) << Path(name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string TlsFiles::Write(absl::string_view name,
                            absl::string_view content) const {
  std::ofstream file(Path(name), std::ios::binary);
  file.write(content.data(), content.size());
  file.close();
  EXPECT_TRUE(file) << Path(name);
  return Path(name);
}

std::string TlsFiles::MakeDirectory(absl::string_view name) const {
  EXPECT_TRUE(std::filesystem::create_directory(Path(name))) << Path(name);
  return Path(name);
}

void TlsFiles::OpenSsl(absl::string_view arguments) const {
  const std::string command =
      absl::StrCat("cd '", directory_, "' && openssl ", arguments,
                   " </dev/null >openssl.log 2>&1");
  EXPECT_EQ(std::system(command.c_str()), 0) << command << "\n"
                                             << Read("openssl.log");
}

void TlsFiles::MakeCertificate(absl::string_view name,
                               absl::string_view key_options) const {
  OpenSsl(absl::StrCat("req -x509 ", key_options, " -nodes -days 2 -subj /CN=",
                       name, " -keyout ", name, ".key -out ", name, ".crt"));
}

}  // namespace kamailio_mqtt
