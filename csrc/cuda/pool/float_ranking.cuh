#pragma once

#include "cuda/common/intrinsics.cuh"
#include "pool/largest.h"

namespace relustat::cuda {

// On GPUs 16-bit values compare as float: an integer ranking takes more instructions. The
// order is the same, because a float holds every such value.
template <class Format>
struct FloatRanking : Ranking<Format> {};

template <class Format>
struct HalfAsFloatRanking {
  using Key = float;
  template <class Keys>
  static __device__ Keys keys(typename Format::Bits bits) {
    return value_of_half<Format>(bits, 0);
  }
  static __device__ bool is_nan(float key) { return key != key; }
};
template <>
struct FloatRanking<BFloat16> : HalfAsFloatRanking<BFloat16> {};
template <>
struct FloatRanking<Float16> : HalfAsFloatRanking<Float16> {};

template <class Format>
using LargestFloat = Largest<Format, Single, FloatRanking<Format>>;

}  // namespace relustat::cuda
