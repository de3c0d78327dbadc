// SPDX-License-Identifier: GPL-3.0-or-later

// libmosquitto and nothing else, for the limit of what can be built on it.
//
//   bare_mosquitto PORT publish COUNT SIZE QOS WINDOW
//       publishes, with at most WINDOW messages unconfirmed
//   bare_mosquitto PORT receive COUNT
//       subscribes, and reads until COUNT messages have come
//
// Exits with 1 where the connection ends before that.

#include <mosquitto.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

namespace {

struct Progress {
  bool connected = false;
  int done = 0;  // messages confirmed or received
};

void OnConnect(struct mosquitto*, void* progress, int code) {
  static_cast<Progress*>(progress)->connected = code == 0;
}

void OnPublish(struct mosquitto*, void* progress, int) {
  ++static_cast<Progress*>(progress)->done;
}

void OnMessage(struct mosquitto*, void* progress,
               const struct mosquitto_message*) {
  ++static_cast<Progress*>(progress)->done;
}

void Check(int code) {
  if (code == MOSQ_ERR_SUCCESS) return;
  std::fprintf(stderr, "%s\n", mosquitto_strerror(code));
  std::exit(1);
}

void Loop(struct mosquitto* handle) {
  Check(mosquitto_loop(handle, /*timeout=*/1000, /*max_packets=*/1));
}

void Publish(struct mosquitto* handle, const Progress& progress, int count,
             int size, int qos, int window) {
  const std::string payload(size, 'x');
  int submitted = 0;
  while (progress.done < count) {
    while (submitted < count && submitted - progress.done < window &&
           !mosquitto_want_write(handle)) {
      Check(mosquitto_publish(handle, nullptr, "bench/out", size,
                              payload.data(), qos, /*retain=*/false));
      ++submitted;
    }
    if (progress.done < count) Loop(handle);
  }
}

// mosquitto_loop() would wait before each packet.
void Receive(struct mosquitto* handle, const Progress& progress, int count) {
  Check(mosquitto_subscribe(handle, nullptr, "in/#", 0));
  while (progress.done < count) {
    Loop(handle);
    errno = 0;
    while (progress.done < count && errno != EAGAIN) {
      Check(mosquitto_loop_read(handle, /*max_packets=*/1));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const absl::string_view task = argc > 2 ? argv[2] : "";
  if (!(task == "publish" && argc == 7) && !(task == "receive" && argc == 4)) {
    std::fputs(
        "usage: bare_mosquitto PORT publish COUNT SIZE QOS WINDOW\n"
        "       bare_mosquitto PORT receive COUNT\n",
        stderr);
    return 2;
  }
  mosquitto_lib_init();
  Progress progress;
  struct mosquitto* const handle = mosquitto_new(nullptr, true, &progress);
  mosquitto_connect_callback_set(handle, &OnConnect);
  mosquitto_publish_callback_set(handle, &OnPublish);
  mosquitto_message_callback_set(handle, &OnMessage);
  Check(mosquitto_max_inflight_messages_set(handle, 0));
  Check(mosquitto_connect(handle, "127.0.0.1", std::atoi(argv[1]),
                          /*keepalive=*/60));
  while (!progress.connected) Loop(handle);
  if (task == "publish") {
    Publish(handle, progress, std::atoi(argv[3]), std::atoi(argv[4]),
            std::atoi(argv[5]), std::atoi(argv[6]));
  } else {
    Receive(handle, progress, std::atoi(argv[3]));
  }
  return 0;
}
