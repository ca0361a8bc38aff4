#pragma once

#include <cstdint>

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/family_spans.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/rectify.h"
#include "cpu/kernels/relu/unit_zeros.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Rectifies the spans of a share, one after the other, and counts the zeros of each unit. Which way
// to count is decided for each span anew, so that the loops around it are compiled once. Of another
// activation a span is rectified, which takes next to no time, and then written over.
template <class Format>
class Rectifier {
 public:
  using Bits = typename Format::Bits;

  // columns: see tiling.h; 0: by rows.
  Rectifier(const CountingReluShare& share, int64_t columns)
      : is_relu_(share.activation == Activation::kRelu),
        is_by_rows_(columns == 0),
        rows_(share),
        columns_(share, columns),
        family_(share, columns) {}

  // A span, of which n elements are the tensor's; the others are neither 0 nor NaN.
  [[gnu::always_inline]] inline void rectify(const Bits* x, Bits* y, int64_t n) {
    if (!is_relu_) return family_.activate(x, y, n, nullptr);
    add(rectify_part<Format>(x, y), y, n);
  }

  // The same, in parts that find(rectify) asks for by rectify.operator()<v>(). y is not x.
  template <class Find>
  [[gnu::always_inline]] inline void rectify_beside(const Find& find, const Bits* x, Bits* y,
                                                    int64_t n) {
    BitLanes<Format> zeros{};
    find([&]<int v>()
             __attribute__((always_inline)) { zeros += rectify_part<Format, v, kVectors>(x, y); });
    if (!is_relu_) return family_.activate(x, y, n, nullptr);
    add(zeros, y, n);
  }

  // Counts what is kept.
  [[gnu::noinline]] void rectify_kept(const Bits* x, Bits* y, int64_t n, const uint8_t* kept) {
    if (!is_relu_) return family_.activate(x, y, n, kept);
    const int64_t zeros = rectify_kept_span<Format>(x, y, kept);
    if (is_by_rows_) {
      rows_.add_kept(zeros, y, n, kept);
    } else {
      columns_.add(y, n, kept);
    }
  }

  void finish() {
    if (!is_relu_) return family_.finish();
    if (is_by_rows_) {
      rows_.finish();
    } else {
      columns_.finish();
    }
  }

 private:
  [[gnu::always_inline]] inline void add(const BitLanes<Format>& zeros, const Bits* y, int64_t n) {
    if (is_by_rows_) [[likely]] {
      rows_.add(zeros, y, n);
    } else {
      columns_.add(y, n, nullptr);
    }
  }

  const bool is_relu_;
  const bool is_by_rows_;
  RowZeros<Format> rows_;
  ColumnZeros<Format> columns_;
  FamilySpans<Format> family_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
