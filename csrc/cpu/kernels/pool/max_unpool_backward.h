#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "cpu/kernels/pool/tap_positions.h"
#include "pool/window.h"

namespace relustat::cpu {

// One thread's share of one call: output rows [begin, end).
struct MaxUnpoolBackwardShare {
  const void* gradient;  // of the unpooled cells
  const void* y;         // if overlap is kMax
  const void* offsets;
  void* y_gradient;
  Dtype dtype;
  bool wide_offsets;  // int16_t instead of uint8_t
  Overlap overlap;
  PoolingNumbers pooling;
  int64_t channels;  // number of channels of a pixel; 1 if planes are contiguous
  int64_t begin;
  int64_t end;
  const TapPosition* positions;
};

}  // namespace relustat::cpu
