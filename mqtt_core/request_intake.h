// SPDX-License-Identifier: GPL-3.0-or-later

// The dispatcher's side of the hand-off: takes requests out of the ring, in
// order, and gives them to the session, whenever the loop is awake; lets the
// loop sleep when the ring is empty.
//
// A worker that is killed between writing a request and waking the dispatcher
// has told nobody. Kamailio ends when one of its processes is killed, so such a
// request is found at the latest in Close().
//
// Thread safety: belongs to the event loop's thread.
#ifndef MQTT_CORE_REQUEST_INTAKE_H_
#define MQTT_CORE_REQUEST_INTAKE_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/log.h"
#include "mqtt_core/request_ring.h"
#include "mqtt_core/session.h"
#include "mqtt_core/shared_state.h"

namespace kamailio_mqtt {

class RequestIntake final : private SleepGate {
 public:
  // All outlive the intake. Registers itself as the loop's sleep gate.
  RequestIntake(SharedState* state, EventLoop* loop, Session* session,
                Log* log);
  ~RequestIntake() override;
  RequestIntake(const RequestIntake&) = delete;
  RequestIntake& operator=(const RequestIntake&) = delete;

  // Refuses requests from now on, and takes what the ring still holds. May be
  // called again, for a request that was accepted just before the first call
  // and written just after. Takes a tenth of a second at most.
  void Close();

 private:
  // SleepGate
  bool MaySleep() override;
  void OnAwake() override;

  // Returns whether there may be more.
  bool Drain();
  void Handle(absl::string_view record);
  void ReportLosses();
  void Report(LogLevel level, uint64_t lost, uint64_t* reported,
              absl::string_view why);

  SharedState* const state_;
  EventLoop* const loop_;
  Session* const session_;
  Log* const log_;
  RequestRingReader reader_;
  // Wakes the loop; MaySleep() does the work.
  const std::unique_ptr<IoWatch> wakeup_watch_;
  const std::unique_ptr<Timer> unfinished_timer_;
  uint64_t torn_ = 0;     // reported
  uint64_t damaged_ = 0;  // reported
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_REQUEST_INTAKE_H_
