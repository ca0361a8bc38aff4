#pragma once

#include <cstdint>

namespace relustat::cpu {

enum class Dtype { kFloat32, kFloat64, kBFloat16, kFloat16 };

// One thread's share of one call: elements [begin, end) of a dense tensor [outer, units, inner].
struct CountingReluShare {
  const void* x;
  void* y;  // may be x
  Dtype dtype;
  int64_t begin;
  int64_t end;
  int64_t units;
  int64_t inner;
  const float* edges;  // [bins + 1]
  int64_t bins;        // 0: zeros and NaNs only
  int64_t binning;
  bool unit_histograms;
  // The thread's own, zeroed by the caller and added to.
  int64_t* zeros;      // [units]
  int64_t* histogram;  // [unit_histograms ? units : 1, slots]
  uint32_t* scratch;   // [make_tiling(...).words], zero again on return
};

using CountingReluKernel = void (*)(const CountingReluShare&);

// The same loop, compiled for each instruction set.
void counting_relu_baseline(const CountingReluShare& share);
#if defined(__x86_64__)
void counting_relu_avx2(const CountingReluShare& share);
void counting_relu_avx512(const CountingReluShare& share);
#endif

}  // namespace relustat::cpu
