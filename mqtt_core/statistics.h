// SPDX-License-Identifier: GPL-3.0-or-later

// The ledger: what became of every message. It lives in memory that all
// processes share, so that any of them can count and any of them can read.
//
// At rest, for each QoS:
//   accepted = written (QoS 0) or acknowledged (QoS 1, 2)
//            + queued + dropped, for whatever reason, + withdrawn
//            + possibly_lost
//
// Thread safety: all members are atomic; zero-filled memory is a valid start.
#ifndef MQTT_CORE_STATISTICS_H_
#define MQTT_CORE_STATISTICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "mqtt_core/message.h"

namespace kamailio_mqtt {

class Counter {
 public:
  void Add(int64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  void Set(int64_t n) { value_.store(n, std::memory_order_relaxed); }
  int64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
  static_assert(std::atomic<int64_t>::is_always_lock_free,
                "shared between processes");
};

// One counter for each QoS.
class QosCounter {
 public:
  void Add(Qos qos, int64_t n = 1) { counters_[Index(qos)].Add(n); }
  int64_t Get(Qos qos) const { return Of(qos).Get(); }
  const Counter& Of(Qos qos) const { return counters_[Index(qos)]; }
  int64_t Total() const {
    int64_t total = 0;
    for (const Counter& counter : counters_) total += counter.Get();
    return total;
  }

 private:
  static size_t Index(Qos qos) { return static_cast<size_t>(qos); }
  std::array<Counter, 3> counters_;
};

struct Statistics {
  // Script calls (and, for accepted, what came from elsewhere too).
  QosCounter accepted;          // publishes that the dispatcher took over
  Counter refused_queue_full;   // -2
  Counter refused_invalid;      // -1
  Counter refused_not_running;  // -3
  Counter torn;  // requests whose process was killed while it wrote them

  // Outbox: gauges of what waits, in flight included.
  QosCounter queued;
  Counter queued_bytes;  // topics and payloads

  // Ends of a publish.
  QosCounter written;       // QoS 0: the socket has it
  QosCounter acknowledged;  // QoS 1: PUBACK, QoS 2: PUBCOMP
  QosCounter dropped_ttl;
  QosCounter dropped_oldest;
  QosCounter dropped_invalid;
  QosCounter dropped_refused;
  QosCounter dropped_shutdown;
  QosCounter withdrawn;  // taken back by the control call that published it
  // Taken out of `written` when the connection breaks: QoS 0 messages of
  // which nothing proves that the broker has handled them.
  QosCounter possibly_lost;

  // Inbound.
  QosCounter received;
  Counter injected;  // messages whose event route has run
  QosCounter inbound_dropped;
  Counter inbound_queued;        // gauge
  Counter inbound_queued_bytes;  // gauge: topics and payloads
  Counter routes_run;
  Counter routes_failed;

  // Connection.
  Counter connected;  // gauge: 1 while CONNACK stands
  Counter connects;
  Counter connect_failures;
  Counter disconnects;    // established connections that were lost
  Counter subscriptions;  // gauge: of those that are wanted
  Counter subscriptions_refused;
  Counter subscriptions_refused_now;  // gauge: on the present connection
};

// A counter by the name that Kamailio's statistics group `mqtt` gives it.
struct NamedCounter {
  std::string name;
  const Counter* counter;
  std::string description;
};

// All counters, in a stable order.
std::vector<NamedCounter> ListCounters(const Statistics& statistics);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_STATISTICS_H_
