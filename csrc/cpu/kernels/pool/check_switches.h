#pragma once

#include <cstdint>

#include "cpu/kernels/pool/tap_positions.h"
#include "pool/window.h"

namespace relustat::cpu {

// One thread's share of the switches of one call: output rows [begin, end).
struct SwitchesShare {
  const void* offsets;
  bool wide_offsets;  // int16_t instead of uint8_t
  PoolingNumbers pooling;
  int64_t channels;  // number of channels of a pixel; 1 if planes are contiguous
  int64_t begin;
  int64_t end;
  const TapPosition* positions;
};

}  // namespace relustat::cpu
