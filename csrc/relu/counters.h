#pragma once

#include <cstdint>

#include "relu/binning.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

// The counters of one ReLU for one width: a 1-D int64 tensor on the input's device.
//   [0] every: count one call in `every`; 0: count none      [1] ticks: calls seen while every > 0
//   [2] calls: calls counted                                 [3] elements: elements counted
//   [4] blocks of neighbouring units, [5] those whose outputs were all 0: see
//   relustat/ops/zero_blocks.py
//   then zeros[units], dead_calls[units], since_fired[units] (calls counted since the unit last
//   gave an output other than 0); of an activation with an upper knee saturated[units]; and the
//   histogram [rows, slots], where rows is 1, or units if each unit has a histogram of its own.
// Of another activation than ReLU, zeros are its inactive inputs: see relu/family.h.
// relustat/stats/counter_layout.py is the same in Python.
struct CounterLayout {
  static constexpr int64_t kEvery = 0;
  static constexpr int64_t kTicks = 1;
  static constexpr int64_t kCalls = 2;
  static constexpr int64_t kElements = 3;
  static constexpr int64_t kBlocks = 4;
  static constexpr int64_t kZeroBlocks = 5;
  static constexpr int64_t kHeader = 6;

  int64_t units;
  int64_t rows;
  int64_t slots;
  bool saturates = false;

  RELUSTAT_HOST_DEVICE int64_t zeros() const { return kHeader; }
  RELUSTAT_HOST_DEVICE int64_t dead_calls() const { return kHeader + units; }
  RELUSTAT_HOST_DEVICE int64_t since_fired() const { return kHeader + 2 * units; }
  RELUSTAT_HOST_DEVICE int64_t saturated() const { return kHeader + 3 * units; }
  RELUSTAT_HOST_DEVICE int64_t histogram() const { return saturated() + (saturates ? units : 0); }
  RELUSTAT_HOST_DEVICE int64_t size() const { return histogram() + rows * slots; }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
