#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "pool/window.h"

namespace relustat::cpu {

// A row of taps of one window: the values from the first tap's cell on, and its switch.
struct TapRow {
  int64_t cell;
  int64_t first_switch;
};

// One thread's share of one call.
struct MaxPoolShare {
  const void* x;
  void* y;
  void* offsets;
  Dtype dtype;
  bool wide_offsets;  // int16_t instead of uint8_t
  PoolingNumbers pooling;
  // For contiguous planes: output rows [begin, end), and channels is 0.
  // For channels_last pixels with `channels` channels: output pixels [begin, end).
  int64_t channels;
  int64_t begin;
  int64_t end;
  TapRow* tap_rows;  // scratch for d.kernel * h.kernel
};

}  // namespace relustat::cpu
