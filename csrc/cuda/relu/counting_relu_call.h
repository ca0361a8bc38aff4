#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/relu/counting_relu_tiling.h"
#include "relu/counters.h"

namespace relustat::cuda {

// Words that are 0 between kernels. Kernels that run at the same time have different words.
struct Workspace {
  static constexpr int64_t kTurn = 0;      // 0, or one of Turn
  static constexpr int64_t kFinished = 1;  // blocks
  static constexpr int64_t kZeros = 2;     // of this call, by unit

  // Of this call, by unit, if the activation has an upper knee.
  static RELUSTAT_HOST_DEVICE int64_t saturated(int64_t units) { return kZeros + units; }
  static int64_t size(const CounterLayout& counters) {
    return saturated(counters.units) + (counters.saturates ? counters.units : 0);
  }
};

enum Turn : Count { kUndecided = 0, kDeciding, kCounted, kNotCounted };

struct CountingReluCall {
  const void* x;
  void* y;             // may be x; or null; or see quad_access.cuh
  const float* edges;  // [bins + 1]
  int64_t bins;
  Count* counters;  // see relu/counters.h
  Count* workspace;
  const uint8_t* mask;  // see relu/mask.h; or null
  const Count* kept;    // the number of its positions that are counted
  const Count* blocks;  // [2], of this call; or null
  CounterLayout layout;
  CountingReluTiling tiling;
  // Of QuadAccess.
  uint8_t* offsets;
  Divider<int32_t> outputs_in_row;
};

}  // namespace relustat::cuda
