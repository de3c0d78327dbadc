// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/event_stream.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control_api/testing/control_service_harness.h"
#include "control_api/testing/fake_control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/control.h"

namespace kamailio_mqtt {
namespace {

using grpc::StatusCode;
using std::chrono::minutes;
using ::testing::HasSubstr;

// A client's end of a stream.
class Reader {
 public:
  Reader(v1::MqttControl::Stub& stub, const v1::WatchEventsRequest& request) {
    context_.set_deadline(std::chrono::system_clock::now() + minutes(1));
    stream_ = stub.WatchEvents(&context_, request);
  }
  ~Reader() { context_.TryCancel(); }

  // The next event, or one without a kind at the end of the stream.
  v1::WatchEventsResponse Next() {
    v1::WatchEventsResponse event;
    if (!stream_->Read(&event)) event.Clear();
    return event;
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() {
    while (Next().event_case() != v1::WatchEventsResponse::EVENT_NOT_SET) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>> stream_;
};

class EventStreamTest : public ::testing::Test {
 protected:
  // A stream that is synced already, without a snapshot.
  std::unique_ptr<Reader> Watch(const v1::WatchEventsRequest& request) {
    const size_t watchers = control().watchers();
    auto reader = std::make_unique<Reader>(harness_.stub(), request);
    control().WaitForWatchers(watchers + 1);
    EXPECT_TRUE(reader->Next().has_synced());
    return reader;
  }

  void EmitMessage(const std::string& topic, const std::string& payload) {
    InboundMessage message;
    message.topic = topic;
    message.payload = payload;
    message.qos = Qos::kAtLeastOnce;
    message.retain = true;
    message.origin = Origin::kInjected;
    control().Emit(
        [&](Control::Watcher& watcher) { watcher.OnMessage(message); });
  }

  void EmitConnected() {
    control().Emit([](Control::Watcher& watcher) { watcher.OnConnected(); });
  }

  // One event of each kind.
  void EmitAll(const std::string& topic) {
    EmitConnected();
    ConnectionStatus status;
    status.last_disconnect_reason = "keep-alive timeout";
    control().Emit(
        [&](Control::Watcher& watcher) { watcher.OnDisconnected(status); });
    Subscription subscription;
    subscription.filter = "f";
    control().Emit([&](Control::Watcher& watcher) {
      watcher.OnSubscriptionChanged(subscription, true);
    });
    EmitMessage(topic, "in");
    const Message message = {topic, "out", Qos::kExactlyOnce, true};
    control().Emit([&](Control::Watcher& watcher) {
      watcher.OnPublish(7, message, PublishOutcome::kWithdrawn);
    });
  }

  FakeControl& control() { return harness_.control(); }

  ControlServiceHarness harness_;
};

TEST_F(EventStreamTest, ShowsWhatHappens) {
  v1::WatchEventsRequest request;
  request.set_max_payload_bytes(100);
  const std::unique_ptr<Reader> reader = Watch(request);
  EmitAll("t");

  const v1::WatchEventsResponse connected = reader->Next();
  EXPECT_TRUE(connected.has_connected());
  EXPECT_GT(connected.time().seconds(), 1600000000);
  const v1::WatchEventsResponse disconnected = reader->Next();
  EXPECT_EQ(disconnected.disconnected().reason(), "keep-alive timeout");
  EXPECT_FALSE(disconnected.disconnected().has_next_attempt_time());
  const v1::WatchEventsResponse changed = reader->Next();
  EXPECT_EQ(changed.subscription_changed().subscription().topic_filter(), "f");
  EXPECT_TRUE(changed.subscription_changed().removed());
  const v1::WatchEventsResponse received = reader->Next();
  EXPECT_EQ(received.message_received().topic(), "t");
  EXPECT_EQ(received.message_received().payload(), "in");
  EXPECT_EQ(received.message_received().payload_size(), 2);
  EXPECT_EQ(received.message_received().qos(), 1);
  EXPECT_TRUE(received.message_received().retain());
  EXPECT_EQ(received.message_received().origin(), v1::MESSAGE_ORIGIN_INJECTED);
  const v1::WatchEventsResponse publish = reader->Next();
  EXPECT_EQ(publish.publish().publish_id(), 7);
  EXPECT_EQ(publish.publish().topic(), "t");
  EXPECT_EQ(publish.publish().payload(), "out");
  EXPECT_EQ(publish.publish().payload_size(), 3);
  EXPECT_EQ(publish.publish().qos(), 2);
  EXPECT_TRUE(publish.publish().retain());
  EXPECT_EQ(publish.publish().outcome(), v1::PUBLISH_OUTCOME_WITHDRAWN);
}

TEST_F(EventStreamTest, SelectsKinds) {
  v1::WatchEventsRequest request;
  request.add_kinds(v1::EVENT_KIND_SUBSCRIPTION);
  request.add_kinds(v1::EVENT_KIND_PUBLISH);
  const std::unique_ptr<Reader> reader = Watch(request);
  EmitAll("t");
  EXPECT_TRUE(reader->Next().has_subscription_changed());
  EXPECT_TRUE(reader->Next().has_publish());
}

TEST_F(EventStreamTest, SelectsTopicsOfMessagesAndPublishes) {
  v1::WatchEventsRequest request;
  request.set_topic_filter("a/#");
  const std::unique_ptr<Reader> reader = Watch(request);
  EmitAll("b");
  EmitAll("a/x");
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(reader->Next().has_connected());
    EXPECT_TRUE(reader->Next().has_disconnected());
    EXPECT_TRUE(reader->Next().has_subscription_changed());
  }
  EXPECT_EQ(reader->Next().message_received().topic(), "a/x");
  EXPECT_EQ(reader->Next().publish().topic(), "a/x");
}

TEST_F(EventStreamTest, CutsPayloads) {
  v1::WatchEventsRequest none;
  v1::WatchEventsRequest some;
  some.set_max_payload_bytes(3);
  v1::WatchEventsRequest most;
  most.set_max_payload_bytes(1000000);
  const std::vector<std::pair<v1::WatchEventsRequest, size_t>> cases = {
      {none, 0}, {some, 3}, {most, 65536}};
  for (const auto& [request, bytes] : cases) {
    const std::unique_ptr<Reader> reader = Watch(request);
    EmitMessage("t", std::string(70000, 'x'));
    const v1::WatchEventsResponse event = reader->Next();
    EXPECT_EQ(event.message_received().payload(), std::string(bytes, 'x'));
    EXPECT_EQ(event.message_received().payload_size(), 70000);
    reader->Cancel();
    control().WaitForWatchers(0);
  }
}

TEST_F(EventStreamTest, BeginsWithASnapshot) {
  constexpr int kSubscriptions = 5000;
  FakeControl::World world;
  world.status.connection.state = ConnectionState::kWaiting;
  world.status.connection.last_disconnect_reason = "connection refused";
  world.status.connection.next_attempt = SteadyClock().Now();
  for (int i = 1; i <= kSubscriptions; ++i) {
    world.subscriptions.emplace_back();
    world.subscriptions.back().filter = absl::StrCat("f/", i);
  }
  control().set_world(world);
  v1::WatchEventsRequest request;
  request.set_snapshot(true);
  Reader reader(harness_.stub(), request);
  control().WaitForWatchers(1);
  EmitConnected();

  const v1::WatchEventsResponse first = reader.Next();
  EXPECT_EQ(first.disconnected().reason(), "connection refused");
  EXPECT_TRUE(first.disconnected().has_next_attempt_time());
  for (int i = 1; i <= kSubscriptions; ++i) {
    const v1::WatchEventsResponse event = reader.Next();
    ASSERT_EQ(event.subscription_changed().subscription().topic_filter(),
              absl::StrCat("f/", i));
    ASSERT_FALSE(event.subscription_changed().removed());
  }
  EXPECT_TRUE(reader.Next().has_synced());
  EXPECT_TRUE(reader.Next().has_connected());
}

TEST_F(EventStreamTest, ASnapshotHoldsTheSelectedKinds) {
  FakeControl::World world;
  world.status.connection.state = ConnectionState::kConnected;
  world.subscriptions.emplace_back();
  control().set_world(world);
  v1::WatchEventsRequest request;
  request.set_snapshot(true);
  request.add_kinds(v1::EVENT_KIND_CONNECTION);
  Reader connection(harness_.stub(), request);
  EXPECT_TRUE(connection.Next().has_connected());
  EXPECT_TRUE(connection.Next().has_synced());

  request.set_kinds(0, v1::EVENT_KIND_SUBSCRIPTION);
  Reader subscriptions(harness_.stub(), request);
  EXPECT_TRUE(subscriptions.Next().has_subscription_changed());
  EXPECT_TRUE(subscriptions.Next().has_synced());
}

TEST_F(EventStreamTest, ASlowReaderIsToldOnceHowManyEventsItHasLost) {
  // Far more than the queue and the buffers of the transport hold.
  constexpr int kMessages = 20000;
  v1::WatchEventsRequest request;
  request.set_max_payload_bytes(65536);
  const std::unique_ptr<Reader> reader = Watch(request);
  InboundMessage message;
  message.payload = std::string(10000, 'x');
  control().Emit([&](Control::Watcher& watcher) {
    for (int i = 0; i < kMessages; ++i) {
      message.topic = absl::StrCat(i);
      watcher.OnMessage(message);
    }
  });

  // What it gets is complete up to one gap, about which it is told although
  // nothing else happens.
  int read = 0;
  v1::WatchEventsResponse event = reader->Next();
  for (; event.has_message_received(); event = reader->Next()) {
    ASSERT_EQ(event.message_received().topic(), absl::StrCat(read));
    ++read;
  }
  ASSERT_TRUE(event.has_lost());
  EXPECT_EQ(event.lost().count(), kMessages - read);
  EXPECT_LT(read, kMessages / 2);

  EmitConnected();
  EXPECT_TRUE(reader->Next().has_connected());
}

TEST_F(EventStreamTest, AReaderThatNeverReadsHoldsUpNobody) {
  v1::WatchEventsRequest request;
  request.set_max_payload_bytes(65536);
  const std::unique_ptr<Reader> idle = Watch(request);
  const std::unique_ptr<Reader> other = Watch(v1::WatchEventsRequest());
  for (int i = 0; i < 2000; ++i) {
    EmitMessage(absl::StrCat(i), std::string(65536, 'x'));
    ASSERT_EQ(other->Next().message_received().topic(), absl::StrCat(i));
  }
  // Neither does it hold up the end.
  harness_.Shutdown();
  EXPECT_FALSE(idle->Finish().ok());
}

TEST_F(EventStreamTest, AClientThatLeavesIsForgotten) {
  const std::unique_ptr<Reader> reader = Watch(v1::WatchEventsRequest());
  reader->Cancel();
  control().WaitForWatchers(0);
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
}

TEST_F(EventStreamTest, EndsWhenTheServiceStops) {
  const std::unique_ptr<Reader> reader = Watch(v1::WatchEventsRequest());
  harness_.service().Stop();
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "Kamailio is stopping");
  control().WaitForWatchers(0);

  Reader late(harness_.stub(), v1::WatchEventsRequest());
  EXPECT_EQ(late.Finish().error_code(), StatusCode::UNAVAILABLE);
  control().WaitForWatchers(0);
}

TEST_F(EventStreamTest, StreamsAreBounded) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < harness_.limits().streams.limit(); ++i) {
    readers.push_back(Watch(v1::WatchEventsRequest()));
  }
  const grpc::Status status =
      Reader(harness_.stub(), v1::WatchEventsRequest()).Finish();
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(),
            absl::StrCat("there are ", harness_.limits().streams.limit(),
                         " streams of events already"));
}

TEST_F(EventStreamTest, RefusesRequestsThatBreakARule) {
  v1::WatchEventsRequest request;
  request.set_topic_filter("a/#/b");
  grpc::Status status = Reader(harness_.stub(), request).Finish();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("topic_filter: "));

  request.Clear();
  request.add_kinds(v1::EVENT_KIND_MESSAGE);
  request.add_kinds(v1::EVENT_KIND_UNSPECIFIED);
  status = Reader(harness_.stub(), request).Finish();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("kinds[1]: "));
}

}  // namespace
}  // namespace kamailio_mqtt
