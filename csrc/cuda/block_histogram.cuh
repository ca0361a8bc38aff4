#pragma once

#include "counting_relu_call.h"
#include "strip.cuh"

namespace relustat::cuda {

// The counts of one block: in shared memory where they fit (see CountingReluTiling), else those of
// all blocks in the counters. kShared: it is known that there is one histogram, and that it fits.
// A thread counts for kVector columns of a strip.
template <int kVector, bool kShared>
class BlockHistogram {
 public:
  // `words`: shared memory, all 0.
  __device__ BlockHistogram(const CountingReluCall& call, uint32_t* words)
      : call_(call),
        tiling_(call.tiling),
        words_(words),
        copy_(threadIdx.x & (call.tiling.copies > 0 ? call.tiling.copies - 1 : 0)) {}

  __device__ bool is_per_unit() const { return !kShared && call_.layout.rows > 1; }
  __device__ bool is_in_shared_memory() const { return kShared || tiling_.copies > 0; }

  // `column`: the thread's first one.
  __device__ void enter(const Strip& strip, int32_t column) {
    if constexpr (!kShared) {
      strip.template for_each_place<kVector>(
          column, [&](int v, int32_t place) { rows_[v] = row_of(strip, place); });
    }
  }

  // `v`: which of the thread's columns.
  __device__ void add(int32_t slot, int v) {
    if (is_in_shared_memory()) {
      atomicAdd(words_ + slot * tiling_.slot_words + row(v), uint32_t{1});
    } else {
      add_globally(slot, v, 1);
    }
  }

  // By all lanes of a warp, each a slot or -1. One addition for all that have the same: else a
  // layer that is dead, so all of one slot, would be slower than others.
  __device__ void add_globally_together(int32_t slot, int v) {
    constexpr uint32_t kAllLanes = 0xffffffffu;
    const int32_t first_slot = __shfl_sync(kAllLanes, slot, 0);
    const int32_t first_row = __shfl_sync(kAllLanes, row(v), 0);
    if (__all_sync(kAllLanes, slot == first_slot && row(v) == first_row)) {
      if (threadIdx.x % 32 == 0 && slot >= 0) add_globally(slot, v, 32);
    } else if (slot >= 0) {
      add_globally(slot, v, 1);
    }
  }

  // From shared memory, which is 0 again. By all threads, between barriers.
  __device__ void add_to_counters(const Strip& strip) {
    if (!is_in_shared_memory()) return;
    const int32_t slots = static_cast<int32_t>(call_.layout.slots);
    const int32_t rows = is_per_unit() ? strip.places : 1;
    for (int32_t i = threadIdx.x; i < rows * slots; i += blockDim.x) {
      const int32_t row = i / slots;
      const int32_t slot = i - row * slots;
      uint32_t* const copies = words_ + slot * tiling_.slot_words + row * tiling_.copies;
      uint32_t sum = 0;
      for (int32_t c = 0; c < tiling_.copies; ++c) {
        // Each lane begins with another bank.
        uint32_t& word = copies[(c + threadIdx.x) & (tiling_.copies - 1)];
        sum += word;
        word = 0;
      }
      const int64_t unit = is_per_unit() ? strip.unit_of(row, tiling_) : 0;
      if (sum > 0) atomicAdd(in_counters() + unit * slots + slot, Count{sum});
    }
  }

 private:
  // In shared memory, the place of a slot's word; in the counters, the histogram's row.
  __device__ int32_t row_of(const Strip& strip, int32_t place) const {
    if (tiling_.copies > 0) return (is_per_unit() ? place * tiling_.copies : 0) + copy_;
    return is_per_unit() ? static_cast<int32_t>(strip.unit_of(place, tiling_)) : 0;
  }
  __device__ int32_t row(int v) const { return kShared ? copy_ : rows_[kShared ? 0 : v]; }

  __device__ void add_globally(int32_t slot, int v, Count n) {
    atomicAdd(in_counters() + row(v) * call_.layout.slots + slot, n);
  }
  __device__ Count* in_counters() const { return call_.counters + call_.layout.histogram(); }

  const CountingReluCall& call_;
  const CountingReluTiling& tiling_;
  uint32_t* const words_;  // [slots, rows, copies]
  const int32_t copy_;
  int32_t rows_[kShared ? 1 : kVector] = {};
};

}  // namespace relustat::cuda
