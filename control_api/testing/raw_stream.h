// SPDX-License-Identifier: GPL-3.0-or-later

// A call of any method, with messages as bytes: for services of gRPC's own
// whose stubs it does not install. Ended with the object.
//
// Thread safety: none.
#ifndef CONTROL_API_TESTING_RAW_STREAM_H_
#define CONTROL_API_TESTING_RAW_STREAM_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/types/optional.h"

namespace kamailio_mqtt {

class RawStream {
 public:
  // Sends one request.
  RawStream(const std::shared_ptr<grpc::Channel>& channel,
            const std::string& method, const std::string& request)
      : stub_(channel), call_(stub_.PrepareCall(&context_, method, &queue_)) {
    call_->StartCall(this);
    if (!AwaitOk()) return;
    const grpc::Slice slice(request);
    call_->Write(grpc::ByteBuffer(&slice, 1), this);
    AwaitOk();
  }
  ~RawStream() {
    context_.TryCancel();
    Finish();
    queue_.Shutdown();
  }
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;

  // Waits for the next response; nothing: there is none any more.
  absl::optional<std::string> Read() {
    grpc::ByteBuffer buffer;
    call_->Read(&buffer, this);
    if (!AwaitOk()) return absl::nullopt;
    grpc::Slice slice;
    if (!buffer.DumpToSingleSlice(&slice).ok()) return absl::nullopt;
    return std::string(slice.begin(), slice.end());
  }

  // Reads what is left, and returns the status after it.
  grpc::Status Finish() {
    if (!status_.has_value()) {
      while (Read().has_value()) {
      }
      grpc::Status status;
      call_->Finish(&status, this);
      AwaitOk();
      status_ = status;
    }
    return *status_;
  }

 private:
  bool AwaitOk() {
    void* tag;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  absl::optional<grpc::Status> status_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_RAW_STREAM_H_
