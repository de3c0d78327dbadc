// SPDX-License-Identifier: GPL-3.0-or-later

// What the module parameters of the control service say.
// docs/admin_guide.md describes each.
#ifndef CONTROL_API_CONTROL_SETTINGS_H_
#define CONTROL_API_CONTROL_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace kamailio_mqtt {

// As the person wrote them: anything may be wrong until FindControlProblems()
// says otherwise. Each parameter has the prefix control_.
struct ControlSettings {
  // Empty: there is no control service, and the rest is not used. See
  // ControlAddress.
  std::string address;
  // Of the Unix socket. Unset: those that Kamailio runs as. The user, and the
  // members of the group, may call.
  int mode = 0600;
  absl::optional<std::string> user;
  absl::optional<std::string> group;
  // All of them, or none.
  absl::optional<std::string> tls_certificate;
  absl::optional<std::string> tls_private_key;
  absl::optional<std::string> tls_ca;

  bool tls_enabled() const { return tls_certificate.has_value(); }
};

// The address where none is set: a socket in Kamailio's runtime directory,
// `runtime_dir`, an absolute path. The error says all that a person needs to
// know: a configuration that knows nothing of the control service works without
// one.
absl::StatusOr<std::string> DefaultControlAddress(
    absl::string_view runtime_dir);

// As FindProblems() of mqtt_core/settings.h. Whether the address is in use is
// not among them, so that a running Kamailio's settings can be checked. Judges
// with the privileges of this process what it may do.
std::vector<std::string> FindControlProblems(const ControlSettings& settings);

// What the TLS parameters name, in PEM.
struct ControlTlsFiles {
  std::string certificate;
  std::string private_key;
  std::string ca;
};

// For settings without a problem and with TLS. Called while Kamailio still has
// the privileges it was started with: the key may be readable by root alone.
absl::StatusOr<ControlTlsFiles> ReadControlTlsFiles(
    const ControlSettings& settings);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_SETTINGS_H_
