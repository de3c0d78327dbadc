// SPDX-License-Identifier: GPL-3.0-or-later

// A service to try a server with: GetStatus() tells who calls, Reconnect()
// lasts until Stop() or the client ends it, Publish() does nothing.
//
// Thread-safe.
#ifndef CONTROL_API_TESTING_FAKE_SERVICE_H_
#define CONTROL_API_TESTING_FAKE_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "control_api/stoppable_service.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

namespace v1 = ::kamailio::mqtt::v1;

class FakeService final : public StoppableService,
                          private v1::MqttControl::CallbackService {
 public:
  grpc::Service* service() override { return this; }

  void Stop() override {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (LastingCall* const call : calls_) {
      call->Finish({grpc::StatusCode::UNAVAILABLE, "stopping"});
    }
    calls_.clear();
  }

  // Returns when so many calls last.
  void AwaitCalls(size_t count) {
    MutexLock lock(&mutex_);
    while (calls_.size() != count) changed_.Wait(&mutex_);
  }

 private:
  class LastingCall final : public grpc::ServerUnaryReactor {
   public:
    explicit LastingCall(FakeService* service) : service_(service) {}
    void OnCancel() override {
      if (service_->Remove(this)) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    FakeService* const service_;
  };

  bool Remove(LastingCall* call) {
    MutexLock lock(&mutex_);
    changed_.SignalAll();
    return calls_.erase(call) > 0;
  }

  grpc::ServerUnaryReactor* GetStatus(
      grpc::CallbackServerContext* context, const v1::GetStatusRequest*,
      v1::GetStatusResponse* response) override {
    std::string caller;
    for (const grpc::string_ref& name :
         context->auth_context()->GetPeerIdentity()) {
      caller.append(name.data(), name.size());
    }
    // Any field with a text.
    response->mutable_versions()->set_module(caller);
    return Done(context);
  }
  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const v1::PublishRequest*,
                                    v1::PublishResponse*) override {
    return Done(context);
  }
  grpc::ServerUnaryReactor* Reconnect(grpc::CallbackServerContext*,
                                      const v1::ReconnectRequest*,
                                      v1::ReconnectResponse*) override {
    auto* const call = new LastingCall(this);
    MutexLock lock(&mutex_);
    if (stopped_) {
      call->Finish({grpc::StatusCode::UNAVAILABLE, "stopping"});
    } else {
      calls_.insert(call);
      changed_.SignalAll();
    }
    return call;
  }

  static grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context) {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<LastingCall*> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_FAKE_SERVICE_H_
