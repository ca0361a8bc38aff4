#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "pool/window.h"

namespace relustat::cpu {

// A row of taps of one window: what lies at the first one's cell, and its switch.
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
  // Of contiguous planes: output rows [begin, end), and channels is 0.
  // Of channels_last pixels, each of so many channels: output pixels [begin, end).
  int64_t channels;
  int64_t begin;
  int64_t end;
  TapRow* tap_rows;  // scratch for d.kernel * h.kernel
};

}  // namespace relustat::cpu
