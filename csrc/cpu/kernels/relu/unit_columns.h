#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/relu/activate.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/rectify.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tally.h"
#include "cpu/kernels/relu/tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// A histogram for each unit of a few columns, [units + 1, slots]. The last one is for what fills up
// a span.
struct ByColumns : NarrowCounts {
  static constexpr int64_t kWords = kSpan;

  ByColumns(int32_t slots, int32_t units, const int32_t* first, int64_t* histogram)
      : slots(slots), units(units), first(first), histogram(histogram) {}

  struct Writer {
    const int32_t* first;
    uint32_t* words;

    template <int v>
    [[gnu::always_inline]] inline void put(Ints slots) {
      store(slots + load<kFloats>(first + v * kFloats % kUnitColumns), words + v * kFloats);
    }
  };
  [[gnu::always_inline]] inline Writer writer(uint32_t* words) const { return {first, words}; }

  void add_up(uint16_t* table) const {
    for (int32_t i = 0; i < units * slots; ++i) histogram[i] += table[i];
    memset(table, 0, sizeof(*table) * (units + 1) * slots);
  }

  int32_t slots;
  int32_t units;
  const int32_t* first;  // [kUnitColumns] the position of each column's unit
  int64_t* histogram;
};

// Histograms of units whose elements do not lie together. The matrix [outer, units * inner] is
// walked in strips of columns, so narrow that their histograms stay in the L1 cache, some rows at a
// time.
template <class Format>
class UnitColumns {
 public:
  using Bits = typename Format::Bits;

  UnitColumns(const CountingReluShare& share, uint32_t* tally_scratch)
      : share_(share),
        member_(share),
        tally_scratch_(tally_scratch),
        slots_(slot_count(share.bins)) {}

  template <class Binner>
  void run(const Binner& binner) {
    const UnitStrips strips(share_.outer, share_.units, share_.inner);
    for (int64_t strip = share_.begin; strip < share_.end; ++strip) {
      const int64_t unit = strip * strips.units;
      const int64_t left = share_.units - unit;
      run_strip(binner, strips, unit, left < strips.units ? left : strips.units);
    }
  }

 private:
  static constexpr int64_t kRows = kSpan / kUnitColumns;
  // The distance at which rows are fetched ahead, because they may be far apart.
  static constexpr int64_t kRowsAhead = 4 * kRows;

  template <class Binner>
  void run_strip(const Binner& binner, const UnitStrips& strips, int64_t unit, int64_t units) {
    const int64_t width = share_.units * share_.inner;
    columns_ = units * share_.inner * strips.rows_in_one;
    stride_ = width * strips.rows_in_one;
    int32_t first[kUnitColumns];
    for (int64_t column = 0; column < kUnitColumns; ++column) {
      const int64_t of_column = column < columns_ ? column % width / share_.inner : units;
      first[column] = static_cast<int32_t>(of_column * slots_);
    }
    memset(zeros_, 0, sizeof(zeros_));
    memset(saturated_, 0, sizeof(saturated_));
    if (member_.has_slopes()) {
      for (int64_t column = 0; column < columns_; ++column) {
        slopes_[column] = member_.slope_of(unit + column % width / share_.inner);
      }
    }
    int64_t* const histogram = share_.histogram + unit * slots_;
    const ByColumns scheme(static_cast<int32_t>(slots_), static_cast<int32_t>(units), first,
                           histogram);
    Tally<ByColumns> tally(scheme, tally_scratch_);
    const int64_t begin = share_.row_begin * width + unit * share_.inner;
    const int64_t all_rows = share_.row_end - share_.row_begin;
    const int64_t rows = all_rows / strips.rows_in_one;
    int64_t row = 0;
    for (; row + kRows <= rows; row += kRows) {
      const int64_t at = begin + row * stride_;
      for (int64_t i = 0; i < kRows; ++i) fetch(at + (kRowsAhead + i) * stride_);
      Bits span[kSpan];
      read(at, kRows, columns_, span);
      tally.add([&](auto& writer, const auto& beside) __attribute__((always_inline)) {
        find_slots<Format>(binner, span, writer, beside);
      });
      rectify(at, kRows, columns_, span);
    }
    tally.flush();
    const auto count_row = [&](int64_t at, int64_t columns) {
      Bits span[kSpan];
      int32_t slots[kSpan];
      SlotWriter writer{slots};
      read(at, 1, columns, span);
      find_slots<Format>(binner, span, writer, kNothing);
      for (int64_t i = 0; i < columns; ++i) ++histogram[first[i] + slots[i]];
      rectify(at, 1, columns, span);
    };
    for (; row < rows; ++row) count_row(begin + row * stride_, columns_);
    const int64_t left = all_rows - rows * strips.rows_in_one;
    if (left > 0) count_row(begin + rows * stride_, left * width);
    for (int64_t column = 0; column < columns_; ++column) {
      const int64_t of_column = unit + column % width / share_.inner;
      share_.zeros[of_column] += zeros_[column];
      if (share_.saturated != nullptr) share_.saturated[of_column] += saturated_[column];
    }
  }

  void fetch(int64_t at) const {
    const auto* const x = static_cast<const Bits*>(share_.x) + at;
    auto* const y = static_cast<Bits*>(share_.y) + at;
    for (int64_t i = 0; i < kUnitColumns; i += 64 / sizeof(Bits)) {
      __builtin_prefetch(x + i, /*write=*/0);
      __builtin_prefetch(y + i, /*write=*/1);
    }
  }

  // What is no element is not 0.
  void read(int64_t at, int64_t rows, int64_t columns, Bits* span) const {
    const auto* const x = static_cast<const Bits*>(share_.x) + at;
    if (rows == kRows && columns == kUnitColumns) [[likely]] {
      for (int64_t row = 0; row < kRows; ++row) {
        memcpy(span + row * kUnitColumns, x + row * stride_, kUnitColumns * sizeof(Bits));
      }
      return;
    }
    for (int64_t i = 0; i < kSpan; ++i) span[i] = static_cast<Bits>(Format::kInfinity);
    for (int64_t row = 0; row < rows; ++row) {
      memcpy(span + row * kUnitColumns, x + row * stride_, columns * sizeof(Bits));
    }
  }

  void rectify(int64_t at, int64_t rows, int64_t columns, const Bits* span) {
    if (share_.activation != Activation::kRelu) return activate(at, rows, columns, span);
    auto* const y = static_cast<Bits*>(share_.y) + at;
    Bits rectified[kSpan];
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t i = 0; i < kUnitColumns; ++i) {
        const Bits bits = span[row * kUnitColumns + i];
        rectified[row * kUnitColumns + i] = relustat::rectify<Format>(bits);
        zeros_[i] += rectifies_to_zero<Format>(bits) ? 1 : 0;
      }
    }
    if (rows == kRows && columns == kUnitColumns) [[likely]] {
      for (int64_t row = 0; row < kRows; ++row) {
        memcpy(y + row * stride_, rectified + row * kUnitColumns, kUnitColumns * sizeof(Bits));
      }
      return;
    }
    for (int64_t row = 0; row < rows; ++row) {
      memcpy(y + row * stride_, rectified + row * kUnitColumns, columns * sizeof(Bits));
    }
  }

  [[gnu::noinline]] void activate(int64_t at, int64_t rows, int64_t columns, const Bits* span) {
    for (int64_t row = 0; row < rows; ++row) {
      Bits unwanted[kUnitColumns];
      const int64_t first = at + row * stride_;
      const auto* const x = share_.observed == nullptr
                                ? span + row * kUnitColumns
                                : static_cast<const Bits*>(share_.observed) + first;
      Bits* const y = share_.y == nullptr ? unwanted : static_cast<Bits*>(share_.y) + first;
      member_.with_bodies(slopes_, [&](const auto& body_at) __attribute__((always_inline)) {
        if (columns == kUnitColumns) {
          activate_columns(body_at, x, y, kUnitColumns, nullptr, zeros_, saturated_);
        } else {
          activate_columns(body_at, x, y, columns, nullptr, zeros_, saturated_);
        }
      });
    }
  }

  const CountingReluShare& share_;
  const FamilyMember<Format> member_;
  uint32_t* const tally_scratch_;
  const int64_t slots_;
  int64_t columns_ = 0;
  int64_t stride_ = 0;
  uint32_t zeros_[kUnitColumns];
  uint32_t saturated_[kUnitColumns];
  typename Format::Value slopes_[kUnitColumns];
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
