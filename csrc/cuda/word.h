#pragma once

#include "../float_format.h"

namespace relustat::cuda {

// Neighbours that are rectified, and whose zeros are counted, in one register.
template <class Format, int kCount>
struct Word;

template <class Format>
struct Word<Format, 1> {
  using Bits = typename Format::Bits;
  static RELUSTAT_HOST_DEVICE Bits element(Bits word, int) { return word; }
  static RELUSTAT_HOST_DEVICE Bits rectified(Bits word) { return rectify_as_cuda<Format>(word); }
  // One count for each element; they may be added up kMostZerosInColumn times.
  static RELUSTAT_HOST_DEVICE uint32_t zeros(Bits rectified) { return rectified == 0 ? 1 : 0; }
  static RELUSTAT_HOST_DEVICE uint32_t count(uint32_t zeros, int) { return zeros; }
};

// Two elements of 16 bits. Each half's first bit is free once the sign is known: sums of the other
// bits do not reach into the other half.
template <class Format>
struct Word<Format, 2> {
  using Bits = uint32_t;
  static RELUSTAT_HOST_DEVICE typename Format::Bits element(Bits word, int i) {
    return static_cast<typename Format::Bits>(i == 0 ? word & 0xffffu : word >> 16);
  }

  static RELUSTAT_HOST_DEVICE Bits rectified(Bits word) {
    constexpr Bits kAboveInfinity = twice(0x7fffu - Format::kInfinity);
    const Bits nans = (word & twice(0x7fffu)) + kAboveInfinity;
    const Bits cleared = word & ~nans & twice(0x8000u);
    return word & ~((cleared >> 15) * 0xffffu);
  }

  static RELUSTAT_HOST_DEVICE uint32_t zeros(Bits rectified) {
    const Bits others = rectified | ((rectified & twice(0x7fffu)) + twice(0x7fffu));
    return ~others >> 15 & twice(1u);
  }
  static RELUSTAT_HOST_DEVICE uint32_t count(uint32_t zeros, int i) {
    return i == 0 ? zeros & 0xffffu : zeros >> 16;
  }

 private:
  static constexpr Bits twice(Bits half) { return half << 16 | half; }
};

}  // namespace relustat::cuda
