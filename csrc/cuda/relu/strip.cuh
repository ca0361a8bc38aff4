#pragma once

#include "cuda/relu/counting_relu_tiling.h"

namespace relustat::cuda {

// Columns that a block walks down; see CountingReluTiling. Units lie side by side in a row, and
// again in each of the rows that were folded into one. A strip has columns of some of them, its
// positions.
struct Strip {
  int64_t first;  // the element in its first row and column
  int64_t end;    // no vector begins here or later
  int32_t rows;   // complete ones
  int32_t width;  // vectors of a complete row
  int32_t first_unit;
  int32_t first_columns;  // number of columns of the first position; others have `inner`
  int32_t positions;      // 0: there is no strip yet

  static constexpr int32_t kAllColumns = static_cast<int32_t>(kMostColumns);

  // kVector: elements that are loaded at once.
  template <int kVector>
  static __device__ Strip at(int32_t index, const CountingReluTiling& t) {
    return t.along ? along<kVector>(index, t) : down<kVector>(index, t);
  }

  __device__ bool is_of_one_unit_with(const Strip& other) const {
    return positions == 1 && other.positions == 1 && first_unit == other.first_unit;
  }

  __device__ int64_t unit_of(int32_t position, const CountingReluTiling& t) const {
    int64_t unit = int64_t{first_unit} + position;
    while (unit >= t.units) unit -= t.units;
    return unit;
  }

  // Calls visit(i, position) for this number of columns, beginning with the given one.
  template <int kColumns, class Visit>
  __device__ void for_each_position(int32_t column, const CountingReluTiling& t,
                                    const Visit& visit) const {
    int32_t position = position_of(column, t);
    int32_t left = first_columns + position * t.by_inner.divisor - column;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      visit(i, position);
      if (--left == 0) {
        left = t.by_inner.divisor;
        ++position;
      }
    }
  }

  // The position of an element in a row's last vector, which may reach beyond the strip's end.
  __device__ int32_t position_at_end(int32_t column, int64_t element,
                                     const CountingReluTiling& t) const {
    return t.along ? (element < end ? 0 : 1) : position_of(column, t);
  }

 private:
  __device__ int32_t position_of(int32_t column, const CountingReluTiling& t) const {
    const int32_t behind = column - first_columns;
    return behind < 0 ? 0 : 1 + t.by_inner.quotient(behind);
  }

  template <int kVector>
  static __device__ Strip down(int32_t index, const CountingReluTiling& t) {
    const int32_t begin = index * t.strip_vectors * kVector;
    const int32_t vectors_left = t.row_vectors - index * t.strip_vectors;
    Strip strip;
    strip.first = begin;
    strip.end = t.elements;
    strip.rows = t.rows;
    strip.width = t.strip_vectors < vectors_left ? t.strip_vectors : vectors_left;
    const int32_t position = t.by_inner.quotient(begin);
    const int32_t last_column = begin + strip.width * kVector - 1;
    strip.first_unit = position - t.by_units.quotient(position) * t.by_units.divisor;
    strip.first_columns = (position + 1) * t.by_inner.divisor - begin;
    strip.positions = t.by_inner.quotient(last_column) - position + 1;
    return strip;
  }

  template <int kVector>
  static __device__ Strip along(int32_t index, const CountingReluTiling& t) {
    const int64_t begin = index * t.inner;
    Strip strip;
    strip.first = (begin + kVector - 1) / kVector * kVector;
    strip.end = begin + t.inner;
    const auto whole = static_cast<int32_t>((strip.end - strip.first) / kVector);
    strip.rows = t.by_strip_vectors.quotient(whole);
    strip.width = t.strip_vectors;
    strip.first_unit = index - t.by_units.quotient(index) * t.by_units.divisor;
    strip.first_columns = kAllColumns;
    strip.positions = strip.end % kVector != 0 && strip.end < t.elements ? 2 : 1;
    return strip;
  }
};

}  // namespace relustat::cuda
