#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "cpu/kernels/pool/tap_positions.h"
#include "pool/window.h"

namespace relustat::cpu {

// One thread's share of one call: see UnpoolPlan. By planes: planes [begin, end). By slices: slices
// [begin, end) of all planes.
struct MaxUnpoolShare {
  const void* y;
  const void* offsets;
  void* x;
  Dtype dtype;
  bool wide_offsets;  // int16_t instead of uint8_t
  Overlap overlap;
  PoolingNumbers pooling;
  int64_t planes;    // of the whole call
  int64_t channels;  // number of channels of a pixel; 1 if planes are contiguous
  int64_t begin;
  int64_t end;
  const TapPosition* positions;
  void* scratch;  // bytes of UnpoolPlan, 64-byte aligned
};

}  // namespace relustat::cpu
