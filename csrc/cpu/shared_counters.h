#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <mutex>

namespace relustat::cpu {

// Calls from several threads may share counters. A call adds all its counts under this mutex. A
// read or a reset of the counters holds it, too.
inline std::mutex& mutex_of(const int64_t* counters) {
  static std::array<std::mutex, 64> mutexes;
  return mutexes[reinterpret_cast<uintptr_t>(counters) / 64 % mutexes.size()];
}

// A copy; and 0 for all words but `every`. Neither sees half of a call of another thread.
at::Tensor snapshot(const at::Tensor& counters);
void reset(const at::Tensor& counters);

}  // namespace relustat::cpu
