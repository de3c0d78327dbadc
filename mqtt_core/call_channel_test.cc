// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/call_channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/testing/forked_process.h"
#include "mqtt_core/testing/open_descriptors.h"

// What becomes of a call that nobody answers; call_receiver_test.cc has the
// others.
namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

TEST(CallChannelTest, NobodyReceives) {
  CallChannel channel = CallChannel::Create().value();
  channel.CloseReceivingEnd();
  EXPECT_EQ(channel.Call("anybody?", minutes(1)).status(),
            absl::UnavailableError("the mqtt dispatcher is not running"));
}

TEST(CallChannelTest, NobodyReadsIt) {
  const CallChannel channel = CallChannel::Create().value();
  const TimePoint begin = SteadyClock().Now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      channel.Call("anybody?", milliseconds(20)).status()));
  EXPECT_GE(SteadyClock().Now() - begin, milliseconds(20));
}

TEST(CallChannelTest, NobodyReadsThoseBeforeIt) {
  const CallChannel channel = CallChannel::Create().value();
  const int open_before = CountOpenDescriptors();
  const std::string request(kMaxCallBytes, 'x');
  // More than the socket takes.
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(
        absl::IsDeadlineExceeded(channel.Call(request, Duration(0)).status()));
  }
  EXPECT_EQ(CountOpenDescriptors(), open_before);
}

TEST(CallChannelTest, ReceiverIsKilledBeforeItAnswers) {
  CallChannel channel = CallChannel::Create().value();
  ForkedProcess dispatcher([&] {
    // Dies as soon as there is a call.
    pollfd polled = {channel.receiving_fd(), POLLIN, 0};
    poll(&polled, 1, -1);
    raise(SIGKILL);
  });
  channel.CloseReceivingEnd();
  EXPECT_TRUE(
      absl::IsUnavailable(channel.Call("anybody?", minutes(1)).status()));
  dispatcher.Reap();
}

TEST(CallChannelTest, SizesOfRequests) {
  const CallChannel channel = CallChannel::Create().value();
  EXPECT_TRUE(absl::IsInvalidArgument(channel.Call("", minutes(1)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      channel.Call(std::string(kMaxCallBytes + 1, 'x'), minutes(1)).status()));
}

}  // namespace
}  // namespace kamailio_mqtt
