// SPDX-License-Identifier: GPL-3.0-or-later

// Certificates, keys and other files for the tests of TLS, made with the
// openssl command.
#ifndef MQTT_CORE_TESTING_TLS_FILES_H_
#define MQTT_CORE_TESTING_TLS_FILES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

// A directory of its own for temporary files, removed with the object.
class TlsFiles {
 public:
  TlsFiles();
  ~TlsFiles();
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;

  std::string Path(absl::string_view name) const;
  std::string Read(absl::string_view name) const;
  // Returns the path.
  std::string Write(absl::string_view name, absl::string_view content) const;
  std::string MakeDirectory(absl::string_view name) const;

  // Runs `openssl <arguments>` in the directory; the test fails if it fails.
  void OpenSsl(absl::string_view arguments) const;

  // Makes the self-signed certificate <name>.crt and its key <name>.key;
  // `key_options` say of what kind, to openssl-req(1).
  void MakeCertificate(absl::string_view name,
                       absl::string_view key_options =
                           "-newkey ec -pkeyopt "
                           "ec_paramgen_curve:prime256v1") const;

 private:
  std::string directory_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_TLS_FILES_H_
