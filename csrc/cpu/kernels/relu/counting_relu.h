#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "cpu/kernels/pool/pooled_tensor.h"
#include "relu/family.h"

namespace relustat::cpu {

// One thread's share of one call: elements [begin, end) of a dense tensor [outer, units, inner]; if
// by_strips, these rows of the strips [begin, end) of UnitStrips.
struct CountingReluShare {
  const void* x;
  void* y;                     // may be x; or null, if the output is pooled or not wanted
  const PooledTensor* pooled;  // or null
  Dtype dtype;
  int64_t begin;
  int64_t end;
  Activation activation;
  ActivationNumbers numbers;
  const void* slopes;  // [units] or [1], instead of the first number; or null
  bool has_slope_per_unit;
  const void* observed;  // outputs that are looked at instead of x, and lie as x does; or null
  const uint8_t* mask;   // see relu/mask.h; or null
  bool by_strips;
  int64_t row_begin;
  int64_t row_end;
  int64_t outer;
  int64_t units;
  int64_t inner;
  const float* edges;  // [bins + 1]
  int64_t bins;        // 0: zeros and NaNs only
  int64_t binning;
  bool unit_histograms;
  // The counts are added here, by one thread at a time. What a mask leaves out is in slot 0.
  int64_t* zeros;      // [units], of inactive inputs
  int64_t* saturated;  // [units]; or null
  int64_t* histogram;  // [unit_histograms ? units : 1, slots]
  uint32_t* scratch;   // [make_tiling(...).words], the thread's own; zero, and again on return
  void* pool_scratch;  // bytes of StreamLayout, 64-byte aligned; if the output is pooled
};

}  // namespace relustat::cpu
