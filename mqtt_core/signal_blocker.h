// SPDX-License-Identifier: GPL-3.0-or-later

// Blocks all signals of the calling thread while it exists: a thread started
// meanwhile keeps them blocked, so that Kamailio's handlers run on the script
// thread alone.
#ifndef MQTT_CORE_SIGNAL_BLOCKER_H_
#define MQTT_CORE_SIGNAL_BLOCKER_H_

#include <pthread.h>
#include <signal.h>

namespace kamailio_mqtt {

class SignalBlocker {
 public:
  SignalBlocker() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous_);
  }
  ~SignalBlocker() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
  SignalBlocker(const SignalBlocker&) = delete;
  SignalBlocker& operator=(const SignalBlocker&) = delete;

 private:
  sigset_t previous_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_SIGNAL_BLOCKER_H_
