#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "pool/window.h"

namespace relustat::cpu {

// One thread's share of one call.
struct MaxPoolShare {
  const void* x;
  int64_t first_cell;  // of the tensor: where x begins
  void* y;
  void* offsets;
  Dtype dtype;
  bool wide_offsets;  // int16_t instead of uint8_t
  PoolingNumbers pooling;
  // For contiguous planes: output rows [begin, end), or planes, see PoolPlan; and channels is 0.
  // For channels_last pixels with `channels` channels: output pixels [begin, end).
  int64_t channels;
  int64_t begin;
  int64_t end;
  void* scratch;  // bytes of PoolPlan, 64-byte aligned
};

}  // namespace relustat::cpu
