// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/statistics.h"

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

struct Field {
  const char* name;
  Counter Statistics::*member;
  const char* description;
};

struct QosField {
  const char* name;
  QosCounter Statistics::*member;
  const char* description;
};

constexpr QosField kQosFields[] = {
    {"accepted", &Statistics::accepted, "publishes taken over"},
    {"queued", &Statistics::queued, "publishes that wait or are in flight"},
    {"written", &Statistics::written, "publishes written to the socket"},
    {"acknowledged", &Statistics::acknowledged,
     "publishes that the broker has acknowledged"},
    {"dropped_ttl", &Statistics::dropped_ttl,
     "publishes dropped: older than queue_ttl"},
    {"dropped_oldest", &Statistics::dropped_oldest,
     "publishes dropped: the oldest of a full queue"},
    {"dropped_invalid", &Statistics::dropped_invalid,
     "publishes dropped: refused by the protocol library"},
    {"dropped_refused", &Statistics::dropped_refused,
     "publishes dropped: the broker closed the connection for each attempt to "
     "send them"},
    {"dropped_shutdown", &Statistics::dropped_shutdown,
     "publishes dropped: left when drain_timeout had passed"},
    {"withdrawn", &Statistics::withdrawn,
     "publishes taken back by the control call that made them"},
    {"possibly_lost", &Statistics::possibly_lost,
     "publishes written to a connection that broke before the broker proved "
     "that it had handled them"},
    {"received", &Statistics::received, "messages from the broker"},
    {"inbound_dropped", &Statistics::inbound_dropped,
     "messages from the broker dropped: event routes too slow, or stopping"},
};

constexpr Field kFields[] = {
    {"refused_queue_full", &Statistics::refused_queue_full,
     "calls that returned -2"},
    {"refused_invalid", &Statistics::refused_invalid, "calls that returned -1"},
    {"refused_not_running", &Statistics::refused_not_running,
     "calls that returned -3"},
    {"torn", &Statistics::torn,
     "requests lost with the process that was killed while it wrote them"},
    {"queued_bytes", &Statistics::queued_bytes,
     "topics and payloads of the publishes that are queued"},
    {"injected", &Statistics::injected, "messages injected"},
    {"inbound_queued", &Statistics::inbound_queued,
     "messages from the broker that wait for an event route"},
    {"inbound_queued_bytes", &Statistics::inbound_queued_bytes,
     "topics and payloads of the messages that wait for an event route"},
    {"routes_run", &Statistics::routes_run, "event routes and callbacks run"},
    {"routes_failed", &Statistics::routes_failed,
     "event routes and callbacks that failed"},
    {"connected", &Statistics::connected, "1 while connected to the broker"},
    {"connects", &Statistics::connects, "connections established"},
    {"connect_failures", &Statistics::connect_failures,
     "attempts to connect that failed"},
    {"disconnects", &Statistics::disconnects, "established connections lost"},
    {"subscriptions", &Statistics::subscriptions,
     "topic filters that are subscribed to, or are to be"},
    {"subscriptions_refused", &Statistics::subscriptions_refused,
     "subscriptions that the broker refused"},
    {"subscriptions_refused_now", &Statistics::subscriptions_refused_now,
     "subscriptions that are refused on the present connection"},
};

}  // namespace

std::vector<NamedCounter> ListCounters(const Statistics& statistics) {
  std::vector<NamedCounter> counters;
  for (const QosField& field : kQosFields) {
    for (Qos qos : {Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
      counters.push_back(
          {absl::StrCat(field.name, "_qos", static_cast<int>(qos)),
           &(statistics.*field.member).Of(qos),
           absl::StrCat(field.description, ", QoS ", static_cast<int>(qos))});
    }
  }
  for (const Field& field : kFields) {
    counters.push_back(
        {field.name, &(statistics.*field.member), field.description});
  }
  return counters;
}

}  // namespace kamailio_mqtt
