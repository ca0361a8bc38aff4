#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "pool/window.h"

namespace relustat::cpu {

// One thread's share of one call.
struct MaxUnpoolShare {
  const void* y;
  const void* offsets;
  void* x;
  Dtype dtype;
  bool wide_offsets;  // int16_t instead of uint8_t
  Overlap overlap;
  PoolingNumbers pooling;
  // For contiguous planes: input rows [begin, end), and channels is 0.
  // For channels_last pixels with `channels` channels: input pixels [begin, end).
  int64_t channels;
  int64_t begin;
  int64_t end;
  void* scratch;  // bytes of UnpoolPlan or PixelPlan, 64-byte aligned
};

}  // namespace relustat::cpu
