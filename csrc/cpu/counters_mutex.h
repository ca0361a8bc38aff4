#pragma once

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

}  // namespace relustat::cpu
