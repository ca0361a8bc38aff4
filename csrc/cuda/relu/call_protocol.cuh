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

// Of all zeros of a unit, those that a mask leaves out.
__device__ inline Count hidden_in_unit(const CountingReluCall& call) {
  return call.mask == nullptr ? 0 : static_cast<Count>(call.tiling.elements_per_unit) - *call.kept;
}

// Whether this call is counted: one call in `every`, if it has elements that are counted. All
// blocks must decide the same, while other streams may move the ticks or set `every`. So the first
// block decides for all. One thread of a block calls it.
__device__ inline bool takes_turn(const CountingReluCall& call) {
  Count* const turn = call.workspace + Workspace::kTurn;
  Count* const ticks = call.counters + CounterLayout::kTicks;
  // Loaded together with the turn, not after it.
  const auto every = static_cast<int64_t>(load_global(call.counters + CounterLayout::kEvery));
  Count decided = atomicCAS(turn, Count{kUndecided}, Count{kDeciding});
  if (decided == kUndecided) {
    bool counts = every > 0 && (call.mask == nullptr || *call.kept > 0);
    if (every == 1 && counts) {
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

// `zeros`: those of this call. `since_fired`: what the counters say before it.
__device__ inline void close_unit(const CountingReluCall& call, int64_t unit, Count zeros,
                                  Count since_fired, Count hidden) {
  const bool is_dead = zeros == static_cast<Count>(call.tiling.elements_per_unit);
  if (is_dead) {
    add_global(call.counters + call.layout.dead_calls() + unit, 1);
    add_global(call.counters + call.layout.since_fired() + unit, 1);
  } else if (since_fired > 0) {
    store_global(call.counters + call.layout.since_fired() + unit, 0);
  }
  if (zeros == 0) return;
  call.workspace[Workspace::kZeros + unit] = 0;
  add_global(call.counters + call.layout.zeros() + unit, zeros - hidden);
}

// One block calls it for all units. It loads several words before it uses the first one.
__device__ inline void close_units(const CountingReluCall& call) {
  constexpr int kAtOnce = 4;
  const int64_t threads = blockDim.x;
  const Count hidden = hidden_in_unit(call);
  for (int64_t first = threadIdx.x; first < call.tiling.units; first += kAtOnce * threads) {
    Count zeros[kAtOnce];
    Count since_fired[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int64_t unit = first + i * threads;
      const bool is_unit = unit < call.tiling.units;
      zeros[i] = is_unit ? load_global(call.workspace + Workspace::kZeros + unit) : 0;
      since_fired[i] = is_unit ? load_global(call.counters + call.layout.since_fired() + unit) : 0;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (zeros[i] > 0 || since_fired[i] > 0) {
        close_unit(call, first + i * threads, zeros[i], since_fired[i], hidden);
      }
    }
  }
  if (hidden == 0 || call.layout.slots == 1) return;
  // The last block has seen all others, which counted what is hidden.
  const Count in_row =
      call.layout.rows > 1 ? hidden : hidden * static_cast<Count>(call.tiling.units);
  for (int64_t row = threadIdx.x; row < call.layout.rows; row += threads) {
    add_global(call.counters + call.layout.histogram() + row * call.layout.slots, 0 - in_row);
  }
}

// One thread of the last block calls it.
__device__ inline void close_call(const CountingReluCall& call, bool counts) {
  if (counts) {
    add_global(call.counters + CounterLayout::kCalls, 1);
    const Count hidden = hidden_in_unit(call) * static_cast<Count>(call.tiling.units);
    add_global(call.counters + CounterLayout::kElements,
               static_cast<Count>(call.tiling.elements) - hidden);
    if (call.blocks != nullptr) {
      add_global(call.counters + CounterLayout::kBlocks, call.blocks[0]);
      add_global(call.counters + CounterLayout::kZeroBlocks, call.blocks[1]);
    }
  }
  call.workspace[Workspace::kTurn] = kUndecided;
  call.workspace[Workspace::kFinished] = 0;
}

}  // namespace relustat::cuda
