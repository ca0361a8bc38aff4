#pragma once

#include <cstdint>

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/span.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// A number for each column, in a share's scratch: see tiling.h. No column is 2^32 elements long:
// there are at least kFewestColumns.
class ColumnCounts {
 public:
  // table: its position in the scratch.
  ColumnCounts(const CountingReluShare& share, int64_t columns, int64_t table)
      : words_(share.scratch + table * (columns + kSpan)),
        columns_(columns),
        units_(share.units),
        inner_(share.inner) {}

  uint32_t* words() const { return words_; }

  // Adds the columns up by unit, and clears them. of_units may be null.
  void add_to(int64_t* of_units) const {
    // A span that begins in the last columns continues behind them.
    for (int64_t i = 0; i < kSpan; ++i) {
      words_[i] += words_[columns_ + i];
      words_[columns_ + i] = 0;
    }
    for (int64_t column = 0; column < columns_;) {
      for (int64_t unit = 0; unit < units_; ++unit) {
        for (int64_t i = 0; i < inner_; ++i, ++column) {
          if (of_units != nullptr) of_units[unit] += words_[column];
          words_[column] = 0;
        }
      }
    }
  }

 private:
  uint32_t* const words_;
  const int64_t columns_;
  const int64_t units_;
  const int64_t inner_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
