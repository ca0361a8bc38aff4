#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "cpu/kernels/common/scratch_layout.h"
#include "pool/window.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// A row of taps of one window: the values from the first tap's cell on, and its switch.
struct TapRow {
  int64_t cell;
  int64_t first_switch;
};

// How a call is pooled, and the layout of a thread's scratch memory.
struct PoolPlan : ScratchLayout {
  // Planes that are pooled side by side.
  static constexpr int64_t kGroup = 32;

  bool is_by_planes;  // small planes, side by side like channels; else by rows of windows
  // Bytes from the start of the scratch.
  int64_t tap_rows = 0;
  int64_t x = 0;
  int64_t y = 0;
  int64_t offsets = 0;

  // channels: 0 if planes are contiguous.
  PoolPlan(const Pooling& pooling, int64_t channels, int64_t element_bytes) {
    is_by_planes =
        channels == 0 && pooling.w.output <= kWidestSmall && pooling.inputs() <= kMostSmallCells;
    tap_rows = take(pooling.d.kernel * pooling.h.kernel, sizeof(TapRow));
    if (!is_by_planes) return;
    x = take(pooling.inputs() * kGroup, element_bytes);
    y = take(pooling.outputs() * kGroup, element_bytes);
    offsets = take(pooling.outputs() * kGroup, sizeof(int16_t));
  }

 private:
  // Rows with more windows fill vectors of their own.
  static constexpr int64_t kWidestSmall = 14;
  static constexpr int64_t kMostSmallCells = 1024;
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
