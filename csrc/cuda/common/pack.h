#pragma once

#include <cstdint>

namespace relustat::cuda {

// Neighbours in memory that are loaded and stored at once.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T of[kCount];
};

constexpr int kPackBytes = 16;

inline bool is_aligned(const void* address, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

}  // namespace relustat::cuda
