#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <mutex>

namespace relustat::cpu {

// Calls from several threads may share counters. Each adds its whole call under one of these, and
// who reads or clears the counters holds it, too.
inline std::mutex& mutex_of(const int64_t* counters) {
  static std::array<std::mutex, 64> mutexes;
  return mutexes[reinterpret_cast<uintptr_t>(counters) / 64 % mutexes.size()];
}

// A copy, and 0 for all but `every`: neither sees half of a call that another thread makes.
at::Tensor snapshot(const at::Tensor& counters);
void reset(const at::Tensor& counters);

}  // namespace relustat::cpu
