// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/shared_memory.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

TEST(SharedMemoryTest, IsZeroFilledAndPageAligned) {
  const absl::StatusOr<SharedMemory> memory = SharedMemory::Create(10000);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(memory->size(), 10000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % getpagesize(), 0u);
  const char* const bytes = static_cast<const char*>(memory->data());
  for (size_t i = 0; i < memory->size(); ++i) ASSERT_EQ(bytes[i], 0);
}

TEST(SharedMemoryTest, ParentSeesWhatAChildWrites) {
  const absl::StatusOr<SharedMemory> memory = SharedMemory::Create(1);
  ASSERT_TRUE(memory.ok()) << memory.status();
  char* const byte = static_cast<char*>(memory->data());
  ForkedProcess child([byte] { *byte = 'x'; });
  ASSERT_EQ(child.Reap(), 0);
  EXPECT_EQ(*byte, 'x');
}

TEST(SharedMemoryTest, MoveHandsTheMappingOver) {
  absl::StatusOr<SharedMemory> first = SharedMemory::Create(4096);
  absl::StatusOr<SharedMemory> second = SharedMemory::Create(8192);
  ASSERT_TRUE(first.ok() && second.ok());
  void* const data = first->data();

  SharedMemory moved(*std::move(first));
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(moved.size(), 4096u);

  moved = *std::move(second);
  EXPECT_NE(moved.data(), data);
  EXPECT_EQ(moved.size(), 8192u);
}

TEST(SharedMemoryTest, RefusesNothingAndTooMuch) {
  EXPECT_EQ(SharedMemory::Create(0).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SharedMemory::Create(std::numeric_limits<size_t>::max() / 2)
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kamailio_mqtt
