#pragma once

#include "counting_relu_call.h"

// How the blocks of a call agree on whether it is counted, and which of them closes it.

namespace relustat::cuda {

__device__ inline Count read(const Count* word) { return *const_cast<const volatile Count*>(word); }

// Whether this call is one of each `every`. All blocks must decide alike, though other streams move
// the ticks, or set `every`, meanwhile: the first of them decides for all. By one thread of a
// block.
__device__ inline bool takes_turn(const CountingReluCall& call) {
  Count* const turn = call.workspace + Workspace::kTurn;
  if (atomicCAS(turn, Count{kUndecided}, Count{kDeciding}) == kUndecided) {
    const auto every = static_cast<int64_t>(read(call.counters + CounterLayout::kEvery));
    bool counts = false;
    if (every > 0) {
      const Count tick = atomicAdd(call.counters + CounterLayout::kTicks, Count{1});
      counts = every == 1 || tick % every == 0;
    }
    atomicExch(turn, Count{counts ? kCounted : kNotCounted});
    return counts;
  }
  Count decided = kDeciding;
  while (decided == kDeciding) decided = atomicAdd(turn, Count{0});
  return decided == kCounted;
}

// By one thread of a block, after a barrier; before another, that block sees what all others did.
__device__ inline bool is_last_to_finish(const CountingReluCall& call) {
  __threadfence();
  const Count before = atomicAdd(call.workspace + Workspace::kFinished, Count{1});
  __threadfence();
  return before == gridDim.x - 1;
}

__device__ inline void close_unit(const CountingReluCall& call, int64_t unit, Count zeros) {
  call.workspace[Workspace::kZeros + unit] = 0;
  atomicAdd(call.counters + call.layout.zeros() + unit, zeros);
  if (zeros == static_cast<Count>(call.tiling.elements_per_unit)) {
    atomicAdd(call.counters + call.layout.dead_calls() + unit, Count{1});
  }
}

// By one block for all units: it asks for several words before it looks at the first.
__device__ inline void close_units(const CountingReluCall& call) {
  constexpr int kAtOnce = 8;
  const int64_t threads = blockDim.x;
  for (int64_t first = threadIdx.x; first < call.tiling.units; first += kAtOnce * threads) {
    Count zeros[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int64_t unit = first + i * threads;
      zeros[i] = unit < call.tiling.units ? read(call.workspace + Workspace::kZeros + unit) : 0;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (zeros[i] > 0) close_unit(call, first + i * threads, zeros[i]);
    }
  }
}

// By one thread of the last block.
__device__ inline void close_call(const CountingReluCall& call, bool counts) {
  if (counts) {
    atomicAdd(call.counters + CounterLayout::kCalls, Count{1});
    atomicAdd(call.counters + CounterLayout::kElements, static_cast<Count>(call.tiling.elements));
  }
  call.workspace[Workspace::kTurn] = kUndecided;
  call.workspace[Workspace::kFinished] = 0;
}

}  // namespace relustat::cuda
