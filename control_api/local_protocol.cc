// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/local_protocol.h"

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

std::string WithHead(char head, const google::protobuf::MessageLite& message) {
  std::string text(1, head);
  message.AppendToString(&text);
  return text;
}

}  // namespace

std::string EncodeLocalRequest(LocalMethod method,
                               const google::protobuf::MessageLite& request) {
  return WithHead(static_cast<char>(method), request);
}

std::string EncodeLocalReply(const google::protobuf::MessageLite& response) {
  return WithHead(static_cast<char>(absl::StatusCode::kOk), response);
}

std::string EncodeLocalReply(const absl::Status& status) {
  return absl::StrCat(std::string(1, static_cast<char>(status.code())),
                      status.message());
}

absl::Status DecodeLocalReply(absl::string_view reply,
                              google::protobuf::MessageLite* response) {
  if (reply.empty()) return absl::InternalError("an empty reply");
  const auto code = static_cast<absl::StatusCode>(reply.front());
  const absl::string_view rest = reply.substr(1);
  if (code != absl::StatusCode::kOk) return absl::Status(code, rest);
  if (!response->ParseFromArray(rest.data(), static_cast<int>(rest.size()))) {
    return absl::InternalError("a reply that cannot be read");
  }
  return absl::OkStatus();
}

}  // namespace kamailio_mqtt
