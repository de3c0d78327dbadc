// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_settings.h"

#include <sys/stat.h>
#include <sys/types.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "control_api/account.h"
#include "control_api/control_address.h"
#include "control_api/socket_place.h"
#include "mqtt_core/parameter_report.h"
#include "mqtt_core/quote.h"
#include "mqtt_core/tls_check.h"

namespace kamailio_mqtt {
namespace {

void CheckPlace(const ControlSettings& settings, const ControlAddress& address,
                ParameterReport& report) {
  if (address.is_unix()) {
    const std::string path = address.unix_path();
    absl::Status status = SocketExists(path).status();
    status.Update(CheckSocketDirectory(path));
    report.Check("control_address", settings.address, status);
  } else if (!address.is_loopback() && !settings.tls_enabled()) {
    report.Add("control_address", settings.address,
               "must be a Unix socket or a loopback address, unless "
               "\"control_tls_certificate\", \"control_tls_private_key\" and "
               "\"control_tls_ca\" are set");
  }
}

void CheckAccess(const ControlSettings& settings, bool is_unix,
                 ParameterReport& report) {
  const int mode = settings.mode;
  const std::string octal = absl::StrFormat("%#o", mode);
  if (mode < 0 || mode > ACCESSPERMS) {
    report.Add("control_mode", octal, "must be from 0 to 0777");
  } else if ((mode & 0600) != 0600) {
    report.Add("control_mode", octal,
               "must let the owner read and write, as 0600 does");
  } else if (settings.group.has_value() && (mode & 0060) != 0060) {
    report.Add("control_mode", octal,
               "must let the group read and write, as 0660 does, when "
               "\"control_group\" is set");
  }
  if (settings.user.has_value()) {
    const absl::StatusOr<uid_t> user = FindUser(*settings.user);
    if (report.Check("control_user", *settings.user, user.status()) &&
        is_unix) {
      report.Check("control_user", *settings.user, CheckCanGiveTo(*user));
    }
  }
  if (settings.group.has_value()) {
    const absl::StatusOr<gid_t> group = FindGroup(*settings.group);
    if (report.Check("control_group", *settings.group, group.status()) &&
        is_unix) {
      report.Check("control_group", *settings.group,
                   CheckCanGiveToGroup(*group));
    }
  }
}

void CheckTls(const ControlSettings& settings,
              const absl::StatusOr<ControlAddress>& address,
              ParameterReport& report) {
  const absl::optional<std::string>& certificate = settings.tls_certificate;
  const absl::optional<std::string>& private_key = settings.tls_private_key;
  const absl::optional<std::string>& ca = settings.tls_ca;
  const bool complete =
      certificate.has_value() && private_key.has_value() && ca.has_value();
  // Returns whether the parameter is set and may be.
  const auto check_placed = [&](absl::string_view parameter,
                                const absl::optional<std::string>& value) {
    if (!value.has_value()) return false;
    if (address.ok() && address->is_unix()) {
      report.Add(parameter, *value,
                 "must not be set: there is no TLS on a Unix socket");
      return false;
    }
    if (!complete) {
      report.Add(parameter, *value,
                 "must be set together with the others of "
                 "\"control_tls_certificate\", \"control_tls_private_key\" "
                 "and \"control_tls_ca\"");
    }
    return true;
  };

  const bool certificate_ok =
      check_placed("control_tls_certificate", certificate) &&
      report.Check("control_tls_certificate", *certificate,
                   CheckCertificate(*certificate, /*cipher_list=*/""));
  if (check_placed("control_tls_private_key", private_key) &&
      report.Check("control_tls_private_key", *private_key,
                   CheckPrivateKey(*private_key)) &&
      certificate_ok) {
    report.Check("control_tls_private_key", *private_key,
                 CheckKeyFitsCertificate(*private_key, *certificate));
  }
  if (check_placed("control_tls_ca", ca)) {
    report.Check("control_tls_ca", *ca, CheckCaFile(*ca));
  }
}

}  // namespace

absl::StatusOr<std::string> DefaultControlAddress(
    absl::string_view runtime_dir) {
  constexpr absl::string_view kName = "kamailio_mqtt.sock";
  std::string text = absl::StrCat("unix:", runtime_dir, "/", kName);
  const absl::StatusOr<ControlAddress> address = ControlAddress::Parse(text);
  const absl::Status status = address.ok()
                                  ? CheckSocketDirectory(address->unix_path())
                                  : address.status();
  if (status.ok()) return text;
  return absl::Status(
      status.code(),
      absl::StrCat("there is no control service: socket ", Quote(kName),
                   " in the runtime directory ", Quote(runtime_dir), ": ",
                   status.message(), "; \"control_address\" sets another"));
}

std::vector<std::string> FindControlProblems(const ControlSettings& settings) {
  ParameterReport report;
  if (settings.address.empty()) return std::move(report).Take();
  const absl::StatusOr<ControlAddress> address =
      ControlAddress::Parse(settings.address);
  if (report.Check("control_address", settings.address, address.status())) {
    CheckPlace(settings, *address, report);
  }
  CheckAccess(settings, address.ok() && address->is_unix(), report);
  CheckTls(settings, address, report);
  return std::move(report).Take();
}

absl::StatusOr<ControlTlsFiles> ReadControlTlsFiles(
    const ControlSettings& settings) {
  ControlTlsFiles files;
  const std::pair<const std::string&, std::string*> sources[] = {
      {*settings.tls_certificate, &files.certificate},
      {*settings.tls_private_key, &files.private_key},
      {*settings.tls_ca, &files.ca},
  };
  for (const auto& [path, content] : sources) {
    absl::StatusOr<std::string> read = ReadPemFile(path);
    if (!read.ok()) {
      return absl::Status(
          read.status().code(),
          absl::StrCat("file \"", path, "\": ", read.status().message()));
    }
    *content = *std::move(read);
  }
  return files;
}

}  // namespace kamailio_mqtt
