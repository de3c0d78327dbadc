// SPDX-License-Identifier: GPL-3.0-or-later

// Bounds how many of something there are at a time.
//
// Thread-safe.
#ifndef CONTROL_API_QUOTA_H_
#define CONTROL_API_QUOTA_H_

#include <atomic>
#include <memory>

namespace kamailio_mqtt {

class Quota {
 public:
  // `limit` at a time.
  explicit Quota(int limit) : limit_(limit), free_(limit) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  int limit() const { return limit_; }

 private:
  struct Return {
    void operator()(Quota* quota) const { ++quota->free_; }
  };

 public:
  // Stands for one while it exists. The quota outlives it.
  using Share = std::unique_ptr<Quota, Return>;

  // Null if all are taken.
  Share Take() {
    if (--free_ >= 0) return Share(this);
    ++free_;
    return nullptr;
  }

 private:
  const int limit_;
  std::atomic<int> free_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_QUOTA_H_
