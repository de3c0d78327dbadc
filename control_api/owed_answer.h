// SPDX-License-Identifier: GPL-3.0-or-later

// The duty to go on with a call, as it is handed from one thread to the next.
// Whoever drops it without doing its part, such as an event loop with tasks
// that it never ran, abandons the call, so that it ends all the same.
//
// Thread safety: one thread at a time.
#ifndef CONTROL_API_OWED_ANSWER_H_
#define CONTROL_API_OWED_ANSWER_H_

#include <memory>
#include <utility>

namespace kamailio_mqtt {

// `Call` has a method Abandon().
template <typename Call>
class OwedAnswer {
 public:
  explicit OwedAnswer(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  OwedAnswer(OwedAnswer&&) = default;
  OwedAnswer& operator=(OwedAnswer&&) = delete;
  ~OwedAnswer() {
    if (call_ != nullptr) call_->Abandon();
  }

  // The call, for the duty to be done now.
  std::shared_ptr<Call> Take() { return std::move(call_); }

 private:
  std::shared_ptr<Call> call_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_OWED_ANSWER_H_
