// SPDX-License-Identifier: GPL-3.0-or-later

// How many descriptors a process has open, for tests that none is left behind.
#ifndef MQTT_CORE_TESTING_OPEN_DESCRIPTORS_H_
#define MQTT_CORE_TESTING_OPEN_DESCRIPTORS_H_

#include <filesystem>
#include <iterator>

namespace kamailio_mqtt {

// Of this process, and that of the iteration itself.
inline int CountOpenDescriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_OPEN_DESCRIPTORS_H_
