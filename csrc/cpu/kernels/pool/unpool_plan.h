#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "cpu/kernels/common/scratch_layout.h"
#include "pool/window.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// How a call is unpooled, and the layout of a thread's scratch memory.
struct UnpoolPlan : ScratchLayout {
  bool is_by_planes;   // small planes, with a table of the cells of all switches; else by slices
  bool is_in_pairs;    // windows side by side, two cells wide, not few, and their offsets are bytes
  int64_t slices;      // of a plane: its depths, or its rows if it has one depth
  int64_t slice_rows;  // rows of cells in a slice
  int64_t row_elements;
  int64_t group_planes;   // small planes that are unpooled together
  int64_t prepared_rows;  // rows of windows whose values are prepared together
  int64_t kept_rows;      // rows for which something is kept beside their cells; 0: nothing is
  // Bytes from the start of the scratch.
  int64_t table = 0;
  int64_t values = 0;
  int64_t kept = 0;

  // planes: of the whole call. channels: 1 if planes are contiguous.
  UnpoolPlan(const Pooling& pooling, int64_t planes, int64_t channels, Dtype dtype,
             Overlap overlap) {
    const bool is_narrow = dtype == Dtype::kBFloat16 || dtype == Dtype::kFloat16;
    const int64_t rows = pooling.d.input * pooling.h.input;
    const int64_t table_entries = pooling.outputs() * pooling.taps();
    is_in_pairs = channels == 1 && pooling.w.output >= kFewestPairs && are_pairs(pooling);
    is_by_planes = channels == 1 && !is_in_pairs && pooling.inputs() <= kMostTableCells &&
                   table_entries <= kMostTableEntries &&
                   kFewestPlanesPerTap * pooling.taps() <= planes;
    slices = pooling.d.input > 1 ? pooling.d.input : pooling.h.input;
    slice_rows = rows / slices;
    row_elements = pooling.w.input * channels;
    const int64_t row_values = pooling.w.output * channels;
    prepared_rows = kPreparedValues / row_values + 1;
    group_planes = kGroupElements / pooling.inputs() + 1;
    // 16-bit sums are kept in float32; for the largest value, a byte for each cell that has one.
    const int64_t kept_bytes = !pooling.overlaps()         ? 0
                               : overlap == Overlap::kMax  ? 1
                               : overlap == Overlap::kLast ? 0
                               : is_narrow                 ? static_cast<int64_t>(sizeof(float))
                                                           : 0;
    kept_rows = kept_bytes == 0 ? 0 : is_by_planes ? group_planes * rows : rows_in_band(pooling);
    table = is_by_planes ? take(table_entries, sizeof(int16_t))
                         : take(2 * table_size(pooling), sizeof(int64_t));
    if (overlap == Overlap::kSum && (is_narrow || !pooling.overlaps())) {
      values = take(is_by_planes ? group_planes * pooling.outputs() : prepared_rows * row_values,
                    sizeof(double));
    }
    kept = take(kept_rows * row_elements, kept_bytes);
  }

  // One entry for each switch; for each byte if switches are bytes.
  static int64_t table_size(const Pooling& pooling) {
    return pooling.taps() <= 256 ? 256 : pooling.taps();
  }

 private:
  static constexpr int64_t kMostTableCells = 32767;
  static constexpr int64_t kMostTableEntries = 8192;
  // Fewer planes do not pay for the table.
  static constexpr int64_t kFewestPlanesPerTap = 8;
  static constexpr int64_t kFewestPairs = 8;
  static constexpr int64_t kGroupElements = 2048;
  // What a vector has just written is slow to read in parts.
  static constexpr int64_t kPreparedValues = 512;
  static constexpr int64_t kBandElements = 49152;

  static bool are_pairs(const Pooling& pooling) {
    const Window& h = pooling.h;
    const Window& w = pooling.w;
    return pooling.d.input == 1 && w.kernel == 2 && h.kernel <= 128 && w.dilation == 1 &&
           h.dilation == 1 && are_side_by_side(h) && are_side_by_side(w);
  }
  static bool are_side_by_side(const Window& window) {
    return window.kernel == window.stride && window.whole_windows().size() == window.output &&
           window.padding == 0;
  }

  // What a row of windows sees, and more as long as it is little.
  int64_t rows_in_band(const Pooling& pooling) const {
    const int64_t rows = pooling.d.input * pooling.h.input;
    const int64_t least =
        pooling.d.input > 1 ? (pooling.d.reach() + 1) * pooling.h.input : pooling.h.reach() + 1;
    const int64_t few = kBandElements / row_elements;
    return clamp(least > few ? least : few, 1, rows);
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
