// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request.h"

#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

// The header is copied as it stands: no byte of it may be left unset.
static_assert(std::has_unique_object_representations_v<RequestHeader>);
static_assert(std::is_trivially_copyable_v<RequestHeader>);

std::string Encode(const RequestHeader& header, absl::string_view rest) {
  return absl::StrCat(header.bytes(), rest);
}

RequestHeader Publish(uint32_t topic_size) {
  return {RequestType::kPublish, Qos::kAtLeastOnce, 0, 0, topic_size};
}

TEST(RequestTest, KeepsEveryField) {
  for (const RequestType type : {RequestType::kPublish, RequestType::kSubscribe,
                                 RequestType::kUnsubscribe}) {
    for (const Qos qos :
         {Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
      for (const uint8_t retain : {0, 1}) {
        const std::string record =
            Encode({type, qos, retain, 0, 5}, "topicpayload");
        const absl::optional<Request> request = DecodeRequest(record);
        ASSERT_TRUE(request.has_value());
        EXPECT_EQ(request->type, type);
        EXPECT_EQ(request->qos, qos);
        EXPECT_EQ(request->retain, retain == 1);
        EXPECT_EQ(request->topic, "topic");
        EXPECT_EQ(request->payload, "payload");
      }
    }
  }
}

TEST(RequestTest, TakesAnyBytes) {
  const std::string binary("\0\xff\n\0", 4);
  const std::string record = Encode(Publish(2), "\xff\n" + binary);
  const absl::optional<Request> request = DecodeRequest(record);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->topic, "\xff\n");
  EXPECT_EQ(request->payload, binary);
}

TEST(RequestTest, TopicAndPayloadMayBeEmpty) {
  absl::optional<Request> request = DecodeRequest(Encode(Publish(0), ""));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->topic, "");
  EXPECT_EQ(request->payload, "");

  const std::string record = Encode(Publish(3), "all");
  request = DecodeRequest(record);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->topic, "all");
  EXPECT_EQ(request->payload, "");
}

TEST(RequestTest, PointsIntoTheRecord) {
  const std::string record = Encode(Publish(5), "topicpayload");
  const absl::optional<Request> request = DecodeRequest(record);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->topic.data(), record.data() + sizeof(RequestHeader));
  EXPECT_EQ(request->payload.data(), request->topic.data() + 5);
}

TEST(RequestTest, NeedNotBeAligned) {
  const std::string record = "x" + Encode(Publish(5), "topicpayload");
  const absl::optional<Request> request =
      DecodeRequest(absl::string_view(record).substr(1));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->topic, "topic");
}

TEST(RequestTest, RefusesATruncatedHeader) {
  const std::string record = Encode(Publish(0), "");
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(DecodeRequest(absl::string_view(record).substr(0, size)))
        << size;
  }
}

TEST(RequestTest, RefusesATopicPastTheEnd) {
  EXPECT_TRUE(DecodeRequest(Encode(Publish(4), "four")));
  EXPECT_FALSE(DecodeRequest(Encode(Publish(5), "four")));
  EXPECT_FALSE(DecodeRequest(Encode(Publish(UINT32_MAX), "four")));
}

TEST(RequestTest, RefusesEveryValueOutOfRange) {
  for (int value = 0; value <= 255; ++value) {
    const auto byte = static_cast<uint8_t>(value);
    RequestHeader header = Publish(0);
    header.type = static_cast<RequestType>(byte);
    EXPECT_EQ(DecodeRequest(Encode(header, "")).has_value(), value <= 2);

    header = Publish(0);
    header.qos = static_cast<Qos>(byte);
    EXPECT_EQ(DecodeRequest(Encode(header, "")).has_value(), value <= 2);

    header = Publish(0);
    header.retain = byte;
    EXPECT_EQ(DecodeRequest(Encode(header, "")).has_value(), value <= 1);
  }
}

}  // namespace
}  // namespace kamailio_mqtt
