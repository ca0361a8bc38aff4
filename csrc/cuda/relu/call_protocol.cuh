#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/relu/counting_relu_call.h"

// How the blocks of a call agree on whether it is counted, and which of them closes it.

namespace relustat::cuda {

// A 64-bit division only after 2^32 calls.
__device__ inline bool is_multiple(Count n, Count of) {
  if ((n | of) >> 32 == 0) return static_cast<uint32_t>(n) % static_cast<uint32_t>(of) == 0;
  return n % of == 0;
}

// Whether this call is counted: one call in `every`. All blocks must decide the same, while other
// streams may move the ticks or set `every`. So the first block decides for all. One thread of a
// block calls it.
__device__ inline bool takes_turn(const CountingReluCall& call) {
  Count* const turn = call.workspace + Workspace::kTurn;
  Count* const ticks = call.counters + CounterLayout::kTicks;
  // Loaded together with the turn, not after it.
  const auto every = static_cast<int64_t>(load_global(call.counters + CounterLayout::kEvery));
  Count decided = atomicCAS(turn, Count{kUndecided}, Count{kDeciding});
  if (decided == kUndecided) {
    bool counts = every > 0;
    if (every == 1) {
      add_global(ticks, 1);
    } else if (counts) {
      counts = is_multiple(atomicAdd(ticks, Count{1}), static_cast<Count>(every));
    }
    store_global(turn, counts ? kCounted : kNotCounted);
    return counts;
  }
  while (decided == kDeciding) decided = load_global(turn);
  return decided == kCounted;
}

// One thread of a block calls it after a barrier. After another barrier the last block sees the
// writes of all others.
__device__ inline bool is_last_to_finish(const CountingReluCall& call) {
  return add_in_order(call.workspace + Workspace::kFinished, 1) == gridDim.x - 1;
}

__device__ inline void close_unit(const CountingReluCall& call, int64_t unit, Count zeros) {
  call.workspace[Workspace::kZeros + unit] = 0;
  add_global(call.counters + call.layout.zeros() + unit, zeros);
  if (zeros == static_cast<Count>(call.tiling.elements_per_unit)) {
    add_global(call.counters + call.layout.dead_calls() + unit, 1);
  }
}

// One block calls it for all units. It loads several words before it uses the first one.
__device__ inline void close_units(const CountingReluCall& call) {
  constexpr int kAtOnce = 8;
  const int64_t threads = blockDim.x;
  for (int64_t first = threadIdx.x; first < call.tiling.units; first += kAtOnce * threads) {
    Count zeros[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int64_t unit = first + i * threads;
      zeros[i] =
          unit < call.tiling.units ? load_global(call.workspace + Workspace::kZeros + unit) : 0;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (zeros[i] > 0) close_unit(call, first + i * threads, zeros[i]);
    }
  }
}

// One thread of the last block calls it.
__device__ inline void close_call(const CountingReluCall& call, bool counts) {
  if (counts) {
    add_global(call.counters + CounterLayout::kCalls, 1);
    add_global(call.counters + CounterLayout::kElements, static_cast<Count>(call.tiling.elements));
  }
  call.workspace[Workspace::kTurn] = kUndecided;
  call.workspace[Workspace::kFinished] = 0;
}

}  // namespace relustat::cuda
