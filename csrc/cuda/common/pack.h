#pragma once

#include <cstdint>

namespace relustat::cuda {

// Neighbouring elements that are loaded and stored together.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T of[kCount];
};

constexpr int kPackBytes = 16;

inline bool is_aligned(const void* address, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

}  // namespace relustat::cuda
