// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/leftover.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "mqtt_core/message.h"
#include "mqtt_core/request.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

void ReportLeftover(SharedState* state, Log* log) {
  QosCounter lost;
  for (Qos qos : {Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    lost.Add(qos, state->statistics().queued.Get(qos));
  }
  state->ring().ForEachQueued([&lost](absl::string_view record) {
    const absl::optional<Request> request = DecodeRequest(record);
    if (request.has_value() && request->type == RequestType::kPublish) {
      lost.Add(request->qos);
    }
  });
  if (lost.Total() == 0) return;
  log->Error(absl::StrCat(
      "lost with the dispatcher process: ", lost.Get(Qos::kAtMostOnce),
      " message(s) of QoS 0, ", lost.Get(Qos::kAtLeastOnce), " of QoS 1, ",
      lost.Get(Qos::kExactlyOnce), " of QoS 2"));
}

}  // namespace kamailio_mqtt
