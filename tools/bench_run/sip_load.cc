// SPDX-License-Identifier: GPL-3.0-or-later

// SIP requests at a steady rate over UDP, without retransmission, so that a
// request that was not answered stays visible.
//
//   sip_load PORT USER COUNT RATE SIZE PATIENCE
//
// The requests are for USER, and their bodies have SIZE bytes and carry a time
// stamp. PATIENCE seconds after the last was sent those that are not answered
// count as such. Prints {"sent": [T, ...], "answered": [T, ...]}, with 0 where
// there was no answer; times are nanoseconds of the monotonic clock.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tools/bench_run/time_stamp.h"

namespace kamailio_mqtt {
namespace {

constexpr int64_t kSecond = 1000000000;
constexpr absl::string_view kCallId = "Call-ID: ";

class SipLoad {
 public:
  SipLoad(uint16_t port, std::string user, size_t count, int64_t rate,
          size_t size, int64_t patience)
      : port_(port),
        user_(std::move(user)),
        rate_(rate),
        size_(size),
        patience_(patience),
        socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        sent_(count),
        answered_(count) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address),
                sizeof(address)) < 0) {
      std::perror("connect");
      std::exit(1);
    }
    socklen_t length = sizeof(address);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    local_address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~SipLoad() { close(socket_); }
  SipLoad(const SipLoad&) = delete;
  SipLoad& operator=(const SipLoad&) = delete;

  void Run() {
    const int64_t begin = NowNanoseconds();
    for (size_t i = 0; i < sent_.size(); ++i) {
      const int64_t due = begin + static_cast<int64_t>(i) * kSecond / rate_;
      CollectUntil(due);
      Send(i);
    }
    CollectUntil(NowNanoseconds() + patience_ * kSecond);
    std::puts(absl::StrCat("{\"sent\": [", absl::StrJoin(sent_, ", "),
                           "], \"answered\": [", absl::StrJoin(answered_, ", "),
                           "]}")
                  .c_str());
  }

 private:
  void Send(size_t i) {
    sent_[i] = NowNanoseconds();
    const std::string body = StampedPayload(sent_[i], size_);
    const std::string uri = absl::StrCat("sip:", user_, "@127.0.0.1:", port_);
    const std::string request = absl::StrCat(
        "MESSAGE ", uri, " SIP/2.0\r\n",                            //
        "Via: SIP/2.0/UDP ", local_address_, ";branch=z9hG4bK", i,  //
        ";rport\r\n",                                               //
        "Max-Forwards: 70\r\n",                                     //
        "From: <sip:load@", local_address_, ">;tag=", i, "\r\n",    //
        "To: <", uri, ">\r\n",                                      //
        kCallId, i, "\r\n",                                         //
        "CSeq: 1 MESSAGE\r\n",                                      //
        "Content-Type: text/plain\r\n",                             //
        "Content-Length: ", body.size(), "\r\n\r\n", body);
    send(socket_, request.data(), request.size(), 0);
  }

  // Returns early once every request is answered.
  void CollectUntil(int64_t end) {
    while (answers_ < sent_.size()) {
      const int64_t left = end - NowNanoseconds();
      if (left <= 0) return;
      const timespec timeout = {left / kSecond, left % kSecond};
      pollfd poll = {socket_, POLLIN, 0};
      if (ppoll(&poll, 1, &timeout, nullptr) > 0) Collect();
    }
  }

  void Collect() {
    char data[65536];
    const ssize_t size = recv(socket_, data, sizeof(data), 0);
    const int64_t now = NowNanoseconds();
    if (size <= 0) return;
    absl::string_view answer(data, size);
    const size_t call_id = answer.find(kCallId);
    if (call_id == answer.npos) return;
    answer.remove_prefix(call_id + kCallId.size());
    size_t i;
    if (!absl::SimpleAtoi(answer.substr(0, answer.find('\r')), &i)) return;
    if (i >= answered_.size() || answered_[i] != 0) return;
    answered_[i] = now;
    ++answers_;
  }

  const uint16_t port_;
  const std::string user_;
  const int64_t rate_;
  const size_t size_;
  const int64_t patience_;
  const int socket_;
  std::string local_address_;
  std::vector<int64_t> sent_;
  std::vector<int64_t> answered_;
  size_t answers_ = 0;
};

}  // namespace
}  // namespace kamailio_mqtt

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: sip_load PORT USER COUNT RATE SIZE PATIENCE\n", stderr);
    return 2;
  }
  kamailio_mqtt::SipLoad(std::atoi(argv[1]), argv[2], std::atoi(argv[3]),
                         std::atoi(argv[4]), std::atoi(argv[5]),
                         std::atoi(argv[6]))
      .Run();
  return 0;
}
