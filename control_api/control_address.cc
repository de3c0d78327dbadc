// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"

namespace kamailio_mqtt {
namespace {

constexpr absl::string_view kForms =
    "must be \"unix:/absolute/path\", or a numeric address or \"localhost\" "
    "with a port, as in \"127.0.0.1:50051\" or \"[::1]:50051\"";

// The digits of 65535.
constexpr size_t kMaxPortDigits = 5;

absl::Status Invalid(absl::string_view message) {
  return absl::InvalidArgumentError(message);
}

absl::Status CheckUnixPath(absl::string_view path) {
  if (!absl::StartsWith(path, "/")) {
    return Invalid("must have an absolute path after \"unix:\"");
  }
  if (path.size() > kMaxUnixPathBytes) {
    return Invalid(absl::StrCat("must have a path of at most ",
                                kMaxUnixPathBytes, " bytes, has ",
                                path.size()));
  }
  if (absl::EndsWith(path, "/")) return Invalid("must not end with \"/\"");
  if (std::any_of(path.begin(), path.end(), absl::ascii_iscntrl)) {
    return Invalid("must not hold control characters");
  }
  return absl::OkStatus();
}

absl::optional<uint16_t> ParsePort(absl::string_view text) {
  int port = 0;
  // SimpleAtoi() takes signs and blanks.
  if (text.size() > kMaxPortDigits ||
      !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &port) || port > UINT16_MAX) {
    return absl::nullopt;
  }
  return static_cast<uint16_t>(port);
}

}  // namespace

absl::StatusOr<ControlAddress> ControlAddress::Parse(absl::string_view text) {
  ControlAddress address;
  if (absl::ConsumePrefix(&text, "unix:")) {
    absl::Status status = CheckUnixPath(text);
    if (!status.ok()) return status;
    auto* const unix_address =
        reinterpret_cast<sockaddr_un*>(&address.storage_);
    unix_address->sun_family = AF_UNIX;
    std::copy(text.begin(), text.end(), unix_address->sun_path);
    address.size_ = sizeof(sockaddr_un);
    return address;
  }
  if (absl::StartsWith(text, "unix-abstract:")) {
    return Invalid(
        "must not be an abstract socket, which has neither owner nor mode");
  }

  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Invalid(kForms);
  const absl::optional<uint16_t> port = ParsePort(text.substr(colon + 1));
  if (!port.has_value()) {
    return Invalid(absl::StrCat("must end with a port of at most ", UINT16_MAX,
                                "; ", kForms));
  }
  absl::string_view host = text.substr(0, colon);

  if (absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]")) {
    auto* const ipv6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
    if (inet_pton(AF_INET6, std::string(host).c_str(), &ipv6->sin6_addr) != 1 ||
        absl::StrContains(host, '\0')) {
      return Invalid(kForms);
    }
    if (IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr)) {
      return Invalid("must be written as an IPv4 address, which it is");
    }
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(*port);
    address.size_ = sizeof(sockaddr_in6);
    return address;
  }

  if (host == "localhost") host = "127.0.0.1";
  auto* const ipv4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  if (inet_pton(AF_INET, std::string(host).c_str(), &ipv4->sin_addr) != 1 ||
      absl::StrContains(host, '\0')) {
    return Invalid(kForms);
  }
  ipv4->sin_family = AF_INET;
  ipv4->sin_port = htons(*port);
  address.size_ = sizeof(sockaddr_in);
  return address;
}

absl::StatusOr<ControlAddress> ControlAddress::OfSocket(int fd) {
  ControlAddress address;
  address.size_ = sizeof(address.storage_);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage_),
                  &address.size_) != 0) {
    return absl::ErrnoToStatus(errno, "cannot be read back");
  }
  return address;
}

bool ControlAddress::is_loopback() const {
  if (storage_.ss_family == AF_INET) {
    const auto* const ipv4 = reinterpret_cast<const sockaddr_in*>(&storage_);
    return ntohl(ipv4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
  }
  const auto* const ipv6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
  return storage_.ss_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
}

std::string ControlAddress::unix_path() const {
  return reinterpret_cast<const sockaddr_un*>(&storage_)->sun_path;
}

std::string ControlAddress::ToString() const {
  char host[INET6_ADDRSTRLEN] = "";
  switch (storage_.ss_family) {
    case AF_INET: {
      const auto* const ipv4 = reinterpret_cast<const sockaddr_in*>(&storage_);
      inet_ntop(AF_INET, &ipv4->sin_addr, host, sizeof(host));
      return absl::StrCat(host, ":", ntohs(ipv4->sin_port));
    }
    case AF_INET6: {
      const auto* const ipv6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
      inet_ntop(AF_INET6, &ipv6->sin6_addr, host, sizeof(host));
      return absl::StrCat("[", host, "]:", ntohs(ipv6->sin6_port));
    }
    default:
      return absl::StrCat("unix:", unix_path());
  }
}

const sockaddr* ControlAddress::data() const {
  return reinterpret_cast<const sockaddr*>(&storage_);
}

}  // namespace kamailio_mqtt
