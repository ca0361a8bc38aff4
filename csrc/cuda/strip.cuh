#pragma once

#include "counting_relu_tiling.h"

namespace relustat::cuda {

// Columns of the matrix that a block walks down. Units lie side by side in a row, and again in each
// of the rows that were folded into one; a strip has columns of some of them: its places.
struct Strip {
  int64_t index;
  int64_t first_unit;
  int32_t first_columns;  // of the first place
  int32_t place_columns;  // of each other one
  int32_t places;         // 0: there is no strip yet

  // `vector`: elements that are loaded at once.
  static __device__ Strip at(int64_t index, const CountingReluTiling& tiling, int vector) {
    // No strip is as wide.
    constexpr int64_t kWide = 1 << 24;
    const int64_t width = tiling.strip_vectors * vector;
    const int64_t begin = index * width;
    const int64_t columns = width < tiling.row - begin ? width : tiling.row - begin;
    const int64_t place = begin / tiling.inner;
    const int64_t left = (place + 1) * tiling.inner - begin;
    const int32_t first_columns = static_cast<int32_t>(left < kWide ? left : kWide);
    const int32_t place_columns = static_cast<int32_t>(tiling.inner < kWide ? tiling.inner : kWide);
    const int32_t others = static_cast<int32_t>(columns) - first_columns;
    const int32_t places = others > 0 ? 1 + (others + place_columns - 1) / place_columns : 1;
    return {index, place % tiling.units, first_columns, place_columns, places};
  }

  __device__ bool is_of_one_unit_with(const Strip& other) const {
    return places == 1 && other.places == 1 && first_unit == other.first_unit;
  }

  __device__ int64_t unit_of(int32_t place, const CountingReluTiling& tiling) const {
    int64_t unit = first_unit + place;
    while (unit >= tiling.units) unit -= tiling.units;
    return unit;
  }

  // Calls visit(i, place) for so many columns from the given one on.
  template <int kColumns, class Visit>
  __device__ void for_each_place(int32_t column, const Visit& visit) const {
    const int32_t behind = column - first_columns;
    int32_t place = behind < 0 ? 0 : 1 + behind / place_columns;
    int32_t left = first_columns + place * place_columns - column;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      visit(i, place);
      if (--left == 0) {
        left = place_columns;
        ++place;
      }
    }
  }
};

}  // namespace relustat::cuda
