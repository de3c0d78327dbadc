// SPDX-License-Identifier: GPL-3.0-or-later

// A broker that measures: it takes what clients publish, acknowledges and
// counts it, and sends messages of its own to every client that has subscribed
// to anything. It is there because a real broker, which also routes, takes a
// multiple of the time for a message and would be what is measured.
//
//   sink_broker PORT
//
// Commands come by lines on standard input, whose end ends it. Each is answered
// by a line of JSON; times are nanoseconds of the monotonic clock.
//
//   reset      forgets what it has counted
//   report     {"count": N, "bytes": N, "first": T, "last": T, "subscribed": N}
//              PUBLISH packets, the bytes of their payloads, when the first and
//              the last came, and filters that are subscribed to
//   latencies  [N, ...], of the messages that carry a time stamp
//   send TOPIC TOPICS COUNT SIZE RATE
//              queues COUNT messages of SIZE bytes to send at RATE a second (0:
//              as fast as the client takes them), on TOPIC/0, TOPIC/1 ... up to
//              TOPICS topics, in turn; they carry a time stamp
//   freeze     reads nothing any more, and leaves connections open
//   thaw       reads again
//   close      ends all connections and takes no more
//   open       takes connections again

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "tools/bench_run/time_stamp.h"

namespace kamailio_mqtt {
namespace {

constexpr size_t kReadSize = size_t{256} << 10;
// Of messages made at a time, for a client that has taken those before.
constexpr size_t kMaxOutput = size_t{256} << 10;
constexpr int64_t kSecond = 1000000000;

// MQTT 3.1.1 section 2.2.1.
enum PacketType {
  kConnect = 1,
  kPublish = 3,
  kPubrel = 6,
  kSubscribe = 8,
  kUnsubscribe = 10,
  kPingreq = 12,
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

uint16_t ReadUint16(absl::string_view data) {
  return static_cast<uint8_t>(data[0]) << 8 | static_cast<uint8_t>(data[1]);
}

// A packet without a length of more than a byte.
std::string ShortPacket(uint8_t first_byte, absl::string_view content) {
  return absl::StrCat(std::string{static_cast<char>(first_byte),
                                  static_cast<char>(content.size())},
                      content);
}

void AppendPublish(absl::string_view topic, absl::string_view payload,
                   std::string* output) {
  output->push_back(kPublish << 4);
  // Section 2.2.3.
  size_t remaining = 2 + topic.size() + payload.size();
  do {
    const size_t rest = remaining / 128;
    output->push_back(
        static_cast<char>(remaining % 128 | (rest > 0 ? 128 : 0)));
    remaining = rest;
  } while (remaining > 0);
  output->push_back(static_cast<char>(topic.size() >> 8));
  output->push_back(static_cast<char>(topic.size()));
  absl::StrAppend(output, topic, payload);
}

struct Counts {
  int64_t count = 0;
  int64_t bytes = 0;
  int64_t first = 0;
  int64_t last = 0;
  std::vector<int64_t> latencies;

  void Add(absl::string_view payload, int64_t now) {
    if (count == 0) first = now;
    last = now;
    ++count;
    bytes += payload.size();
    if (const absl::optional<int64_t> sent = TimeStampOf(payload)) {
      latencies.push_back(now - *sent);
    }
  }
};

class Connection {
 public:
  Connection(int descriptor, Counts* counts)
      : descriptor_(descriptor), counts_(counts) {
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  ~Connection() { close(descriptor_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int descriptor() const { return descriptor_; }
  // What to poll for.
  short events() const { return HasWrittenAll() ? POLLIN : POLLIN | POLLOUT; }
  int64_t subscribed() const { return subscribed_; }
  bool HasWrittenAll() const { return output_.empty(); }
  std::string* output() { return &output_; }

  // Both return whether the connection goes on.
  bool Read() {
    static char data[kReadSize];
    const ssize_t size = recv(descriptor_, data, sizeof(data), MSG_DONTWAIT);
    if (size == 0) return false;
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    const int64_t now = NowNanoseconds();
    input_.append(data, size);
    absl::string_view rest = input_;
    while (HandlePacket(now, &rest)) {
    }
    input_.erase(0, input_.size() - rest.size());
    return Write();
  }

  bool Write() {
    if (HasWrittenAll()) return true;
    const ssize_t size =
        send(descriptor_, output_.data() + written_, output_.size() - written_,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    written_ += size;
    if (written_ == output_.size()) {
      output_.clear();
      written_ = 0;
    }
    return true;
  }

 private:
  // Takes a packet off `rest`; false: there is no whole one.
  bool HandlePacket(int64_t now, absl::string_view* rest) {
    size_t remaining = 0;
    size_t header = 1;
    for (int shift = 0;; shift += 7) {
      if (header >= rest->size()) return false;
      const uint8_t byte = (*rest)[header++];
      remaining |= size_t{byte & 127u} << shift;
      if (byte < 128) break;
    }
    if (rest->size() - header < remaining) return false;
    Handle((*rest)[0], rest->substr(header, remaining), now);
    rest->remove_prefix(header + remaining);
    return true;
  }

  void Handle(uint8_t first_byte, absl::string_view content, int64_t now) {
    switch (first_byte >> 4) {
      case kConnect:
        output_ += ShortPacket(0x20, absl::string_view("\0\0", 2));
        break;
      case kPublish:
        HandlePublish((first_byte >> 1) & 3, content, now);
        break;
      case kPubrel:
        output_ += ShortPacket(0x70, content);
        break;
      case kSubscribe:
        HandleSubscribe(content);
        break;
      case kUnsubscribe:
        output_ += ShortPacket(0xb0, content.substr(0, 2));
        break;
      case kPingreq:
        output_ += ShortPacket(0xd0, "");
        break;
    }
  }

  void HandlePublish(int qos, absl::string_view content, int64_t now) {
    content.remove_prefix(2 + ReadUint16(content));
    if (qos > 0) {
      output_ += ShortPacket(qos == 1 ? 0x40 : 0x50, content.substr(0, 2));
      content.remove_prefix(2);
    }
    counts_->Add(content, now);
  }

  void HandleSubscribe(absl::string_view content) {
    std::string answer(content.substr(0, 2));
    content.remove_prefix(2);
    while (!content.empty()) {
      const size_t filter = 2 + ReadUint16(content);
      answer.push_back(content[filter]);  // the requested QoS
      content.remove_prefix(filter + 1);
      ++subscribed_;
    }
    output_ += ShortPacket(0x90, answer);
  }

  const int descriptor_;
  Counts* const counts_;
  std::string input_;
  std::string output_;
  size_t written_ = 0;  // of it
  int64_t subscribed_ = 0;
};

// Messages to send, at a rate.
struct Sending {
  std::string topic;
  int64_t topics = 1;
  int64_t count = 0;
  int64_t size = 0;
  int64_t rate = 0;
  int64_t begin = 0;  // when the first was due
  int64_t sent = 0;

  bool IsOver() const { return sent == count; }
  int64_t NextDue() const {
    return rate == 0 ? begin : begin + sent * kSecond / rate;
  }
};

class SinkBroker {
 public:
  explicit SinkBroker(uint16_t port) : port_(port) {
    Bind();
    Open();
  }

  void Run() {
    while (!input_ended_) {
      std::vector<pollfd> polls = {{STDIN_FILENO, POLLIN, 0},
                                   {is_open_ ? listener_ : -1, POLLIN, 0}};
      for (const auto& connection : connections_) {
        // poll(2) passes over what is negative.
        polls.push_back({is_frozen_ ? -1 : connection->descriptor(),
                         connection->events(), 0});
      }
      const timespec timeout = {0, WaitTime()};
      if (ppoll(polls.data(), polls.size(), &timeout, nullptr) < 0) {
        Fail("ppoll");
      }
      for (size_t i = connections_.size(); i-- > 0;) {
        Serve(polls[i + 2].revents, i);
      }
      if (polls[1].revents != 0) Accept();
      if (polls[0].revents != 0) ReadCommands();
      Send();
    }
  }

 private:
  void Bind() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address),
             sizeof(address)) < 0) {
      Fail("bind");
    }
  }

  void Open() {
    if (listen(listener_, SOMAXCONN) < 0) Fail("listen");
    is_open_ = true;
  }

  // The port stays taken: nobody else gets it meanwhile.
  void Close() {
    connections_.clear();
    if (shutdown(listener_, SHUT_RDWR) < 0) Fail("shutdown");
    is_open_ = false;
  }

  void Accept() {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) Fail("accept");
    connections_.push_back(std::make_unique<Connection>(descriptor, &counts_));
  }

  void Serve(int events, size_t index) {
    bool goes_on = true;
    if ((events & ~POLLOUT) != 0) goes_on = connections_[index]->Read();
    if (goes_on && (events & POLLOUT) != 0) {
      goes_on = connections_[index]->Write();
    }
    if (!goes_on) connections_.erase(connections_.begin() + index);
  }

  // Nanoseconds, less than a second.
  long WaitTime() const {
    int64_t wait = kSecond - 1;
    if (!sending_.IsOver() && sending_.rate > 0) {
      wait = std::min(wait, sending_.NextDue() - NowNanoseconds());
    }
    return std::max<int64_t>(wait, 0);
  }

  // What a client does not take at once it takes when it polls writable.
  void Send() {
    for (const auto& connection : connections_) {
      if (connection->subscribed() == 0) continue;
      while (connection->HasWrittenAll() && FillOutput(connection->output())) {
        connection->Write();
      }
    }
  }

  // Returns whether anything was due.
  bool FillOutput(std::string* output) {
    const int64_t now = NowNanoseconds();
    while (!sending_.IsOver() && sending_.NextDue() <= now &&
           output->size() < kMaxOutput) {
      AppendPublish(
          absl::StrCat(sending_.topic, "/", sending_.sent % sending_.topics),
          StampedPayload(now, sending_.size), output);
      ++sending_.sent;
    }
    return !output->empty();
  }

  void ReadCommands() {
    char data[4096];
    const ssize_t size = read(STDIN_FILENO, data, sizeof(data));
    if (size <= 0) {
      input_ended_ = true;
      return;
    }
    commands_.append(data, size);
    size_t end;
    while ((end = commands_.find('\n')) != std::string::npos) {
      std::puts(Answer(commands_.substr(0, end)).c_str());
      std::fflush(stdout);
      commands_.erase(0, end + 1);
    }
  }

  std::string Answer(const std::string& command) {
    std::istringstream words(command);
    std::string name;
    words >> name;
    if (name == "report") return Report();
    if (name == "latencies") {
      return absl::StrCat("[", absl::StrJoin(counts_.latencies, ", "), "]");
    }
    if (name == "reset") {
      counts_ = Counts();
    } else if (name == "freeze" || name == "thaw") {
      is_frozen_ = name == "freeze";
    } else if (name == "close") {
      Close();
    } else if (name == "open") {
      Open();
    } else if (name == "send") {
      sending_ = Sending();
      words >> sending_.topic >> sending_.topics >> sending_.count >>
          sending_.size >> sending_.rate;
      sending_.begin = NowNanoseconds();
    } else if (name == "more") {
      int64_t count = 0;
      words >> count;
      sending_.count += count;
    } else {
      std::fprintf(stderr, "no such command: %s\n", command.c_str());
      std::exit(1);
    }
    return "{}";
  }

  std::string Report() const {
    int64_t subscribed = 0;
    for (const auto& connection : connections_) {
      subscribed += connection->subscribed();
    }
    return absl::StrCat(
        "{\"count\": ", counts_.count, ", \"bytes\": ", counts_.bytes,
        ", \"first\": ", counts_.first, ", \"last\": ", counts_.last,
        ", \"subscribed\": ", subscribed, "}");
  }

  const uint16_t port_;
  int listener_ = -1;
  bool is_open_ = false;
  Counts counts_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Sending sending_;
  std::string commands_;
  bool input_ended_ = false;
  bool is_frozen_ = false;
};

}  // namespace
}  // namespace kamailio_mqtt

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: sink_broker PORT\n", stderr);
    return 2;
  }
  kamailio_mqtt::SinkBroker(std::atoi(argv[1])).Run();
  return 0;
}
