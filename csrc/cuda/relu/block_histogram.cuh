#pragma once

#include "cuda/common/shared_memory.cuh"
#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/strip.cuh"

namespace relustat::cuda {

// The memory of a block's counts: one histogram in shared memory, one for each unit of a strip, or
// as the tiling says, which may be the counters in global memory.
enum class Placement { kShared, kPerUnit, kAny };

// The sum of a count's copies in shared memory. They are 0 afterwards.
__device__ inline uint32_t take_copies(uint32_t* words, int32_t copies) {
  uint32_t sum = 0;
  // Lanes whose words share banks begin with different copies.
  const int32_t first = static_cast<int32_t>(threadIdx.x) * copies / 32;
  for (int32_t c = 0; c < copies; ++c) {
    uint32_t& word = words[(c + first) & (copies - 1)];
    sum += word;
    word = 0;
  }
  return sum;
}

// The counts of one block, by slot. A thread counts for kVector columns of a strip. kBesides:
// words of shared memory before the counts. kFirst: the number of the first slot.
template <int kVector, Placement kPlacement, int kBesides = 0, uint32_t kFirst = 0>
class BlockHistogram {
 public:
  __device__ explicit BlockHistogram(const CountingReluCall& call)
      : call_(call), tiling_(call.tiling) {
    if constexpr (kPlacement == Placement::kShared) rows_[0] = address_of(0);
  }

  __device__ bool is_per_unit() const {
    if constexpr (kPlacement == Placement::kAny) return call_.layout.rows > 1;
    return kPlacement == Placement::kPerUnit;
  }
  __device__ bool is_in_shared_memory() const {
    return kPlacement != Placement::kAny || tiling_.copies > 0;
  }

  // `column`: the thread's first one.
  __device__ void enter(const Strip& strip, int32_t column) {
    if constexpr (kPlacement != Placement::kShared) {
      strip.template for_each_position<kVector>(
          column, tiling_, [&](int v, int32_t position) { rows_[v] = row_of(strip, position); });
    }
  }

  // `v`: the number of the thread's column.
  __device__ void add(uint32_t slot, int v) { add_to_row(slot, row(v), 1); }

  // The same if counts are certainly in shared memory. `offset`: slot_bytes times the slot.
  __device__ void add_at_offset(uint32_t offset, int v, uint32_t n = 1) const {
    add_shared(row(v) + offset, n);
  }

  // For an element of a position that is none of the thread's columns.
  __device__ void add_at(uint32_t slot, const Strip& strip, int32_t position) {
    add_to_row(slot, row_of(strip, position), 1);
  }

  // All lanes of a warp call it, each with a slot or -1. Lanes with the same slot share an
  // addition. Otherwise a dead layer, with all elements in one slot, would be slow.
  __device__ void add_globally_together(int32_t slot, int v) {
    constexpr uint32_t kAllLanes = 0xffffffffu;
    const int32_t first_slot = __shfl_sync(kAllLanes, slot, 0);
    const uint32_t first_row = __shfl_sync(kAllLanes, row(v), 0);
    if (__all_sync(kAllLanes, slot == first_slot && row(v) == first_row)) {
      if (threadIdx.x % 32 == 0 && slot >= 0) add_to_row(slot, row(v), 32);
    } else if (slot >= 0) {
      add_to_row(slot, row(v), 1);
    }
  }

  // Adds the counts from shared memory, which is then 0. All threads call it, between barriers.
  __device__ void add_to_counters(const Strip& strip) {
    if (!is_in_shared_memory()) return;
    const auto slots = static_cast<uint32_t>(call_.layout.slots);
    const uint32_t slot_words = tiling_.slot_bytes / 4;
    const int32_t rows = is_per_unit() ? strip.positions : 1;
    for (int32_t row = 0; row < rows; ++row) {
      const int64_t unit = is_per_unit() ? strip.unit_of(row, tiling_) : 0;
      for (uint32_t slot = threadIdx.x; slot < slots; slot += blockDim.x) {
        uint32_t* const first_copy = counts() + slot * slot_words + row * tiling_.copies;
        const uint32_t sum = take_copies(first_copy, tiling_.copies);
        if (sum > 0) add_global(in_counters() + unit * slots + slot, sum);
      }
    }
  }

 private:
  static constexpr uint32_t kBegin = kControlBytes + 4 * kBesides;  // in shared memory

  __device__ uint32_t* counts() const {
    return reinterpret_cast<uint32_t*>(shared_memory() + kBegin);
  }
  // The address of the thread's copy of the slot with the number 0.
  __device__ uint32_t address_of(int32_t row) const {
    const uint32_t copy = threadIdx.x & (tiling_.copies - 1);
    return shared_address() + kBegin + 4 * (row * tiling_.copies + copy) -
           kFirst * tiling_.slot_bytes;
  }
  // That address, or the histogram's row in the counters.
  __device__ uint32_t row_of(const Strip& strip, int32_t position) const {
    if (is_in_shared_memory()) return address_of(is_per_unit() ? position : 0);
    return is_per_unit() ? static_cast<uint32_t>(strip.unit_of(position, tiling_)) : 0;
  }
  __device__ uint32_t row(int v) const { return rows_[kPlacement == Placement::kShared ? 0 : v]; }

  __device__ void add_to_row(uint32_t slot, uint32_t row, uint32_t n) {
    if (is_in_shared_memory()) {
      add_shared(slot * tiling_.slot_bytes + row, n);
    } else {
      add_global(in_counters() + row * call_.layout.slots + slot, n);
    }
  }
  __device__ Count* in_counters() const { return call_.counters + call_.layout.histogram(); }

  const CountingReluCall& call_;
  const CountingReluTiling& tiling_;
  uint32_t rows_[kPlacement == Placement::kShared ? 1 : kVector] = {};
};

}  // namespace relustat::cuda
