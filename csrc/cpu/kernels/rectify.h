#pragma once

#include <cstdint>

#include "../../float_format.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Rectifies n elements of one unit and returns how many outputs are zero.
template <class Format>
int64_t rectify_row(const typename Format::Bits* x, typename Format::Bits* y, int64_t n) {
  using Bits = typename Format::Bits;
  Bits zeros = 0;  // n <= kBlock fits
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = rectify<Format>(x[i]);
    y[i] = bits;
    zeros = static_cast<Bits>(zeros + (is_zero<Format>(bits) ? 1 : 0));
  }
  return static_cast<int64_t>(zeros);
}

// Rectifies n elements of n columns and adds each zero to its column's count.
template <class Format>
void rectify_columns(const typename Format::Bits* x, typename Format::Bits* y, int64_t n,
                     uint32_t* column_zeros) {
  for (int64_t i = 0; i < n; ++i) {
    const typename Format::Bits bits = rectify<Format>(x[i]);
    y[i] = bits;
    column_zeros[i] += is_zero<Format>(bits) ? 1 : 0;
  }
}

template <class Format>
int64_t count_nans(const typename Format::Bits* x, int64_t n) {
  using Bits = typename Format::Bits;
  Bits nans = 0;
  for (int64_t i = 0; i < n; ++i) nans = static_cast<Bits>(nans + (is_nan<Format>(x[i]) ? 1 : 0));
  return static_cast<int64_t>(nans);
}

void flush_columns(uint32_t* column_zeros, int64_t columns, int64_t units, int64_t inner,
                   int64_t* zeros) {
  for (int64_t column = 0; column < columns;) {
    for (int64_t unit = 0; unit < units; ++unit) {
      for (int64_t i = 0; i < inner; ++i, ++column) {
        zeros[unit] += column_zeros[column];
        column_zeros[column] = 0;
      }
    }
  }
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
