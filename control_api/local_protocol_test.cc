// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/local_protocol.h"

#include <string>

#include "absl/status/status.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

namespace v1 = ::kamailio::mqtt::v1;

TEST(LocalProtocolTest, RequestBeginsWithItsMethod) {
  v1::UnsubscribeRequest request;
  request.set_topic_filter("a/#");
  const std::string text =
      EncodeLocalRequest(LocalMethod::kUnsubscribe, request);
  EXPECT_EQ(text.front(), static_cast<char>(LocalMethod::kUnsubscribe));
  v1::UnsubscribeRequest read;
  ASSERT_TRUE(read.ParseFromString(text.substr(1)));
  EXPECT_EQ(read.topic_filter(), "a/#");
}

TEST(LocalProtocolTest, ReplyWithAResponse) {
  v1::SubscribeResponse response;
  response.mutable_subscription()->set_topic_filter("a/#");
  v1::SubscribeResponse read;
  EXPECT_EQ(DecodeLocalReply(EncodeLocalReply(response), &read),
            absl::OkStatus());
  EXPECT_EQ(read.subscription().topic_filter(), "a/#");
}

TEST(LocalProtocolTest, ReplyWithAnEmptyResponse) {
  v1::UnsubscribeResponse read;
  EXPECT_EQ(
      DecodeLocalReply(EncodeLocalReply(v1::UnsubscribeResponse()), &read),
      absl::OkStatus());
}

TEST(LocalProtocolTest, ReplyWithAStatus) {
  v1::UnsubscribeResponse read;
  for (const absl::Status& status :
       {absl::NotFoundError("there is none"), absl::UnavailableError("")}) {
    EXPECT_EQ(DecodeLocalReply(EncodeLocalReply(status), &read), status);
  }
}

TEST(LocalProtocolTest, NoReply) {
  v1::SubscribeResponse read;
  EXPECT_TRUE(absl::IsInternal(DecodeLocalReply("", &read)));
  const std::string ok = EncodeLocalReply(v1::SubscribeResponse());
  EXPECT_TRUE(absl::IsInternal(DecodeLocalReply(ok + "\xff\xff", &read)));
}

}  // namespace
}  // namespace kamailio_mqtt
