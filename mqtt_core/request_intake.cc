// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request_intake.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "mqtt_core/request.h"

namespace kamailio_mqtt {
namespace {

// Requests taken before the loop looks at its descriptors and timers again.
constexpr size_t kBatch = 256;

// When to look again at a record that its producer has not finished.
constexpr Duration kUnfinishedRetry = std::chrono::milliseconds(2);
constexpr int kCloseAttempts = 50;

}  // namespace

RequestIntake::RequestIntake(SharedState* state, EventLoop* loop,
                             Session* session, Log* log)
    : state_(state),
      loop_(loop),
      session_(session),
      log_(log),
      reader_(&state->ring()),
      wakeup_watch_(loop->Watch(state->wakeup().fd(), [](bool, bool) {})),
      unfinished_timer_(loop->CreateTimer([] {})) {
  wakeup_watch_->WaitFor(/*readable=*/true, /*writable=*/false);
  loop_->SetSleepGate(this);
}

RequestIntake::~RequestIntake() { loop_->SetSleepGate(nullptr); }

void RequestIntake::Close() {
  state_->variables().intake.store(IntakeState::kClosed);
  // A worker that is being stopped as well may be in the middle of a record:
  // it finishes or dies, and either lets go of what is behind.
  for (int attempt = 0; attempt < kCloseAttempts; ++attempt) {
    while (Drain()) {
    }
    if (!unfinished_timer_->IsRunning()) return;
    unfinished_timer_->Stop();
    std::this_thread::sleep_for(kUnfinishedRetry);
  }
}

bool RequestIntake::MaySleep() {
  if (Drain()) return false;
  Wakeup& wakeup = state_->wakeup();
  wakeup.PrepareToSleep();
  if (!reader_.HasWork()) return true;
  wakeup.FinishSleep();
  return false;
}

void RequestIntake::OnAwake() { state_->wakeup().FinishSleep(); }

bool RequestIntake::Drain() {
  const RequestRingReader::Result result = reader_.Drain(
      kBatch, [this](absl::string_view record) { Handle(record); });
  if (result.records > 0) session_->Submit();
  if (result.next == RequestRingReader::Next::kUnfinished &&
      !unfinished_timer_->IsRunning()) {
    unfinished_timer_->Start(kUnfinishedRetry);
  }
  ReportLosses();
  return result.next == RequestRingReader::Next::kRecord;
}

void RequestIntake::Handle(absl::string_view record) {
  const absl::optional<Request> request = DecodeRequest(record);
  if (!request.has_value()) {
    log_->Error("dropped a request that makes no sense");
    return;
  }
  std::string topic(request->topic);
  switch (request->type) {
    case RequestType::kPublish:
      session_->Publish({std::move(topic), std::string(request->payload),
                         request->qos, request->retain});
      break;
    case RequestType::kSubscribe:
      session_->Subscribe(topic, request->qos, SubscriptionOrigin::kScript);
      break;
    case RequestType::kUnsubscribe:
      session_->Unsubscribe(topic);
      break;
  }
}

void RequestIntake::ReportLosses() {
  const RequestRing::Counters counters = state_->ring().counters();
  Report(LogLevel::kWarning, counters.torn, &torn_,
         "the process was killed while it wrote them");
  Report(LogLevel::kError, counters.damaged, &damaged_,
         "shared memory was overwritten");
  state_->statistics().torn.Set(static_cast<int64_t>(torn_ + damaged_));
}

void RequestIntake::Report(LogLevel level, uint64_t lost, uint64_t* reported,
                           absl::string_view why) {
  if (lost == *reported) return;
  log_->Write(level,
              absl::StrCat(lost - *reported, " request(s) not taken: ", why));
  *reported = lost;
}

}  // namespace kamailio_mqtt
