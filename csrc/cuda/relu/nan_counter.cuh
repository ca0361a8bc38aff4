#pragma once

#include "cuda/relu/block_histogram.cuh"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// Whether an element of a vector has this magnitude or a larger one. NaNs are the largest.
template <class Format, int kVector>
__device__ bool has_magnitude(const Vector<Format, kVector>& x, typename Format::Bits limit) {
  using Words = Vector<Format, kVector>;
  if constexpr (Words::kInWord == 1) {
    bool has = false;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      const auto magnitude = static_cast<typename Format::Bits>(x[v] & (Format::kSign - 1));
      if constexpr (sizeof(magnitude) == 4) {
        has |= !(Format::value(magnitude) < Format::value(limit));
      } else {
        has |= magnitude >= limit;
      }
    }
    return has;
  } else {
    uint32_t most = 0;
#pragma unroll
    for (int i = 0; i < Words::kWords; ++i) {
      most = larger_halves(most, x.words.of[i] & 0x7fff7fffu);
    }
    const uint32_t room = (0x8000u - limit) * 0x00010001u;
    return ((most + room) & 0x80008000u) != 0;
  }
}

// Without bins: counts NaNs, the only slot.
template <class Format, int kVector>
class NanCounter {
 public:
  using Bits = typename Format::Bits;
  struct Made {};
  static constexpr int kUnroll = 4;
  static constexpr bool kTogether = false;

  static __device__ Made make(const CountingReluCall&) { return {}; }
  __device__ NanCounter(const CountingReluCall& call, Made) : histogram_(call) {}

  __device__ void prepare() {}
  __device__ bool is_per_unit() const { return false; }
  __device__ void enter(const Strip&, int32_t) {}

  __device__ bool count(const Vector<Format, kVector>& x) {
    if (!may_have_nan(x)) return true;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      if (is_nan<Format>(x[v])) histogram_.add(0, v);
    }
    return false;
  }

  __device__ void count_at(Bits bits, const Strip& strip, int32_t position) {
    if (is_nan<Format>(bits)) histogram_.add_at(0, strip, position);
  }

  __device__ void add_to_counters(const Strip& strip) { histogram_.add_to_counters(strip); }

 private:
  static __device__ bool may_have_nan(const Vector<Format, kVector>& x) {
    if constexpr (sizeof(Bits) > 2) {
      // A sum with a NaN is NaN; so is a sum of opposite infinities.
      auto sum = Format::value(x[0]);
#pragma unroll
      for (int v = 1; v < kVector; ++v) sum += Format::value(x[v]);
      return sum != sum;
    } else {
      return has_magnitude<Format>(x, Format::kInfinity + 1);
    }
  }

  BlockHistogram<kVector, Placement::kShared> histogram_;
};

}  // namespace relustat::cuda
