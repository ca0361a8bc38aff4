#pragma once

#include "cuda/relu/block_histogram.cuh"
#include "cuda/relu/make_binner.h"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// Finds each element's slot and counts it, for every kind of bins, every dtype and every memory of
// the counts. Without bins a histogram has one slot, for NaNs.
template <class Format, Binning kBinning, int kVector, Placement kPlacement>
class SlotCounter {
 public:
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;
  // One thread makes it for all threads.
  using Made = decltype(make_binner<Value, kBinning>(nullptr, 0));
  static constexpr int kUnroll = kPlacement == Placement::kAny ? 1 : 2;
  // Whether the lanes of a warp count at the same time.
  static constexpr bool kTogether = kPlacement == Placement::kAny;

  static __device__ Made make(const CountingReluCall& call) {
    return make_binner<Value, kBinning>(call.edges, call.bins);
  }
  __device__ SlotCounter(const CountingReluCall& call, const Made& made)
      : binner_(made), histogram_(call) {}

  __device__ void prepare() {}
  __device__ bool is_per_unit() const { return histogram_.is_per_unit(); }
  __device__ void enter(const Strip& strip, int32_t column) { histogram_.enter(strip, column); }

  // Returns whether no element is a NaN.
  __device__ bool count(const Vector<Format, kVector>& x) {
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      const int32_t slot = slot_of(x[v]);
      if (slot >= 0) histogram_.add(slot, v);
    }
    return false;
  }

  __device__ void count_together(const Vector<Format, kVector>& x, bool is_here) {
    if (histogram_.is_in_shared_memory()) {
      if (is_here) count(x);
      return;
    }
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      histogram_.add_globally_together(is_here ? slot_of(x[v]) : -1, v);
    }
  }

  __device__ void count_at(Bits bits, const Strip& strip, int32_t position) {
    const int32_t slot = slot_of(bits);
    if (slot >= 0) histogram_.add_at(slot, strip, position);
  }

  __device__ void add_to_counters(const Strip& strip) { histogram_.add_to_counters(strip); }

 private:
  // -1: the element is not counted.
  __device__ int32_t slot_of(Bits bits) const {
    if constexpr (kBinning == Binning::kNone) {
      return is_nan<Format>(bits) ? 0 : -1;
    } else {
      return binner_.slot(Format::value(bits));
    }
  }

  const Made binner_;
  BlockHistogram<kVector, kPlacement> histogram_;
};

}  // namespace relustat::cuda
