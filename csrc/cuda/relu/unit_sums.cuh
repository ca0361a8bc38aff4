#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/relu/counting_relu_tiling.h"
#include "cuda/relu/strip.cuh"

// What threads count in their columns becomes sums of units: first of the strip's in shared memory,
// then in the workspace.

namespace relustat::cuda {

// Adds the counts of a thread's columns to those of the strip's units; `column` is the first one.
// All threads call it. count_of(v): the count of the thread's column v.
template <int kVector, class CountOf>
__device__ void add_columns_to_units(const Strip& strip, int32_t column,
                                     const CountingReluTiling& t, uint32_t* of_units,
                                     const CountOf& count_of) {
  int32_t first_position = 0;
  int32_t last_position = 0;
  uint32_t sum = 0;
  strip.template for_each_position<kVector>(column, t, [&](int v, int32_t position) {
    first_position = v == 0 ? position : first_position;
    last_position = position;
    sum += count_of(v);
  });
  constexpr uint32_t kAllLanes = 0xffffffffu;
  const int32_t position_of_lanes = __shfl_sync(kAllLanes, first_position, 0);
  if (__all_sync(kAllLanes,
                 first_position == position_of_lanes && last_position == position_of_lanes)) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(kAllLanes, sum, distance);
    }
    if (threadIdx.x % 32 == 0) atomicAdd(of_units + first_position, sum);
  } else {
    strip.template for_each_position<kVector>(column, t, [&](int v, int32_t position) {
      if (count_of(v) > 0) atomicAdd(of_units + position, count_of(v));
    });
  }
}

// Moves the counts of the strip's units to words of the workspace, which has one for each unit. All
// threads call it, after a barrier.
__device__ inline void move_units_to_workspace(const Strip& strip, const CountingReluTiling& t,
                                               uint32_t* of_units, Count* in_workspace) {
  for (int32_t position = threadIdx.x; position < strip.positions; position += blockDim.x) {
    const uint32_t count = of_units[position];
    if (count == 0) continue;
    of_units[position] = 0;
    add_global(in_workspace + strip.unit_of(position, t), count);
  }
}

}  // namespace relustat::cuda
