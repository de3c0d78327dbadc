// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/settings.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/parameter_report.h"
#include "mqtt_core/tls_check.h"
#include "mqtt_core/topic.h"
#include "mqtt_core/utf8_string.h"

namespace kamailio_mqtt {
namespace {

constexpr size_t kMaxHostBytes = 255;
// What has a length of two bytes in CONNECT (MQTT 3.1.1 section 3.1.3).
constexpr size_t kMaxFieldBytes = 65535;
// libmosquitto cuts off the rest.
constexpr size_t kMaxAlpnBytes = 254;

// What a stop needs of exit_timeout beside the drain. One second is for the
// dispatcher, which has ended by then: DISCONNECT, or giving up on it, and the
// end of the control service. One is for Kamailio, which starts its clock
// before the dispatcher does, and ends its modules before the clock stops.
constexpr std::chrono::seconds kStopReserve(2);

void CheckHost(const Settings& settings, ParameterReport& report) {
  if (!settings.host.has_value()) {
    report.AddHidden("host", "must be set");
    return;
  }
  const std::string& host = *settings.host;
  const auto is_blank_or_control = [](unsigned char c) {
    return absl::ascii_isspace(c) || absl::ascii_iscntrl(c);
  };
  if (host.empty()) {
    report.Add("host", host, "must not be empty");
  } else if (host.size() > kMaxHostBytes) {
    report.Add("host", host,
               absl::StrCat("must be at most ", kMaxHostBytes, " bytes"));
  } else if (std::any_of(host.begin(), host.end(), is_blank_or_control)) {
    report.Add("host", host, "must not hold blanks or control characters");
  }
}

void CheckKeepalive(int seconds, ParameterReport& report) {
  if (seconds == 0 || (5 <= seconds && seconds <= 65535)) return;
  report.Add("keepalive", seconds, "must be 0 or from 5 to 65535");
}

void CheckIdentity(const Settings& settings, ParameterReport& report) {
  if (settings.id.has_value()) {
    if (settings.id->empty()) {
      report.Add("id", *settings.id,
                 "must not be empty: leave it unset for a random one");
    } else {
      report.Check("id", *settings.id, ValidateUtf8String(*settings.id));
    }
  }
  if (settings.username.has_value()) {
    report.Check("username", *settings.username,
                 ValidateUtf8String(*settings.username));
    if (!settings.password.has_value()) {
      report.Add("username", *settings.username,
                 "must be set together with \"password\"");
    }
  }
  if (settings.password.has_value()) {
    if (settings.password->size() > kMaxFieldBytes) {
      report.AddHidden("password", absl::StrCat("must be at most ",
                                                kMaxFieldBytes, " bytes"));
    }
    if (!settings.username.has_value()) {
      report.AddHidden("password", "must be set together with \"username\"");
    }
  }
}

void CheckWill(const WillSettings& will, ParameterReport& report) {
  if (will.topic.has_value()) {
    report.Check("will_topic", *will.topic, ValidateTopicName(*will.topic));
    if (!will.payload.has_value()) {
      report.Add("will_topic", *will.topic,
                 "must be set together with \"will\"");
    }
  }
  if (will.payload.has_value()) {
    if (will.payload->size() > kMaxFieldBytes) {
      report.AddHidden("will",
                       absl::StrCat("must be at most ", kMaxFieldBytes,
                                    " bytes, has ", will.payload->size()));
    }
    if (!will.topic.has_value()) {
      report.AddHidden("will", "must be set together with \"will_topic\"");
    }
  }
  const bool unused = !will.topic.has_value() && !will.payload.has_value();
  constexpr absl::string_view kUnused = "needs \"will_topic\" and \"will\"";
  if (report.CheckRange("will_qos", will.qos, 0, 2) && unused &&
      will.qos != 0) {
    report.Add("will_qos", will.qos, kUnused);
  }
  if (report.CheckSwitch("will_retain", will.retain) && unused &&
      will.retain != 0) {
    report.Add("will_retain", will.retain, kUnused);
  }
}

absl::Status ValidateTlsMethod(absl::string_view method) {
  // In lower case only: libmosquitto takes the others, but fails to connect.
  if (method == "tlsv1.3" || method == "tlsv1.2" || method == "tlsv1.1") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      method == "tlsv1" ? "is no longer supported by libmosquitto: " : "",
      "must be tlsv1.3, tlsv1.2 or tlsv1.1"));
}

absl::Status ValidateAlpn(absl::string_view protocol) {
  if (!protocol.empty() && protocol.size() <= kMaxAlpnBytes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("must be from 1 to ", kMaxAlpnBytes, " bytes"));
}

void CheckTls(const TlsSettings& tls, ParameterReport& report) {
  // Without a CA the parameters would go unnoticed, and so would that nothing
  // is encrypted. verify_certificate alone promises no encryption.
  const auto check_needs_ca = [&](absl::string_view parameter,
                                  absl::string_view value) {
    if (tls.enabled()) return;
    report.Add(parameter, value,
               "needs \"ca_file\" or \"ca_path\": without them the connection "
               "would not be encrypted");
  };

  if (tls.ca_file.has_value()) {
    report.Check("ca_file", *tls.ca_file, CheckCaFile(*tls.ca_file));
  }
  if (tls.ca_path.has_value()) {
    const bool verifies = tls.verify_certificate != "0";
    report.Check("ca_path", *tls.ca_path,
                 CheckCaDirectory(*tls.ca_path, verifies));
    if (tls.ca_file.has_value()) {
      report.Add("ca_path", *tls.ca_path,
                 "must not be set together with \"ca_file\"");
    }
  }
  if (tls.tls_method.has_value()) {
    report.Check("tls_method", *tls.tls_method,
                 ValidateTlsMethod(*tls.tls_method));
    check_needs_ca("tls_method", *tls.tls_method);
  }
  if (tls.tls_alpn.has_value()) {
    report.Check("tls_alpn", *tls.tls_alpn, ValidateAlpn(*tls.tls_alpn));
    check_needs_ca("tls_alpn", *tls.tls_alpn);
  }
  bool certificate_ok = false;
  if (tls.certificate.has_value()) {
    certificate_ok = report.Check(
        "certificate", *tls.certificate,
        CheckCertificate(*tls.certificate, tls.cipher_list.value_or("")));
    if (!tls.private_key.has_value()) {
      report.Add("certificate", *tls.certificate,
                 "must be set together with \"private_key\"");
    }
    check_needs_ca("certificate", *tls.certificate);
  }
  if (tls.private_key.has_value()) {
    const bool key_ok = report.Check("private_key", *tls.private_key,
                                     CheckPrivateKey(*tls.private_key));
    if (key_ok && certificate_ok) {
      report.Check("private_key", *tls.private_key,
                   CheckKeyFitsCertificate(*tls.private_key, *tls.certificate));
    }
    if (!tls.certificate.has_value()) {
      report.Add("private_key", *tls.private_key,
                 "must be set together with \"certificate\"");
    }
    check_needs_ca("private_key", *tls.private_key);
  }
  if (tls.cipher_list.has_value()) {
    report.Check("cipher_list", *tls.cipher_list,
                 CheckCipherList(*tls.cipher_list));
    check_needs_ca("cipher_list", *tls.cipher_list);
  }
  if (tls.verify_certificate != "0" && tls.verify_certificate != "1") {
    report.Add("verify_certificate", tls.verify_certificate, "must be 0 or 1");
  }
}

void CheckQueue(const QueueSettings& queue, ParameterReport& report) {
  report.CheckRange("queue_max_messages", queue.max_messages, 1, 100000000);
  report.CheckRange("queue_max_bytes", queue.max_bytes, 1024,
                    ParameterReport::kUnlimited);
  if (queue.policy != "reject" && queue.policy != "drop_oldest") {
    report.Add("queue_policy", queue.policy, "must be reject or drop_oldest");
  }
  report.CheckRange("queue_ttl", queue.ttl_seconds, 0,
                    ParameterReport::kUnlimited);
}

void CheckReconnect(const ReconnectSettings& reconnect,
                    ParameterReport& report) {
  constexpr int kMaxSeconds = 86400;
  const int delay = reconnect.delay_seconds;
  const int delay_max = reconnect.delay_max_seconds;
  report.CheckRange("reconnect_delay", delay, 1, kMaxSeconds);
  if (report.CheckRange("reconnect_delay_max", delay_max, 0, kMaxSeconds) &&
      delay_max != 0 && delay_max < delay) {
    report.Add(
        "reconnect_delay_max", delay_max,
        absl::StrCat("must not be less than \"reconnect_delay\", ", delay));
  }
}

}  // namespace

std::chrono::milliseconds Settings::drain_time() const {
  const std::chrono::milliseconds wanted(drain_timeout_ms);
  if (exit_timeout_seconds <= 0) return wanted;
  const std::chrono::milliseconds left =
      std::chrono::seconds(exit_timeout_seconds) - kStopReserve;
  return std::clamp(wanted, std::chrono::milliseconds::zero(),
                    std::max(std::chrono::milliseconds::zero(), left));
}

std::vector<std::string> FindWarnings(const Settings& settings) {
  ParameterReport report;
  const int64_t used = settings.drain_time().count();
  if (used < settings.drain_timeout_ms) {
    report.Add("drain_timeout", settings.drain_timeout_ms,
               absl::StrCat("only ", used,
                            " ms are used, because Kamailio kills its "
                            "processes after exit_timeout, ",
                            settings.exit_timeout_seconds, " s"));
  }
  return std::move(report).Take();
}

std::vector<std::string> FindProblems(const Settings& settings) {
  ParameterReport report;
  CheckHost(settings, report);
  report.CheckRange("port", settings.port, 1, 65535);
  CheckKeepalive(settings.keepalive_seconds, report);
  CheckIdentity(settings, report);
  CheckWill(settings.will, report);
  CheckTls(settings.tls, report);
  report.CheckSwitch("resubscribe", settings.resubscribe);
  CheckQueue(settings.queue, report);
  CheckReconnect(settings.reconnect, report);
  report.CheckRange("connect_timeout", settings.connect_timeout_seconds, 1,
                    3600);
  report.CheckRange("drain_timeout", settings.drain_timeout_ms, 0, 60000);
  return std::move(report).Take();
}

}  // namespace kamailio_mqtt
