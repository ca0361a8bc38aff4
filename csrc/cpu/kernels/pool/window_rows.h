#pragma once

#include <cstdint>

#include "cpu/kernels/pool/pool_plan.h"
#include "cpu/kernels/pool/pooled_tensor.h"
#include "pool/window.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// Rows of windows in the order of the output, and the elements of the input that they need, in the
// order of memory. A small plane (see PoolPlan) is one row.
class WindowRows {
 public:
  explicit WindowRows(const PooledTensor& pooled)
      : pooling_(pooled.share.pooling),
        plan_(pooling_, pooled.share.channels, pooled.element_bytes),
        row_cells_(pooling_.w.input * (pooled.share.channels > 0 ? pooled.share.channels : 1)),
        parts_in_row_(pooled.share.channels > 0 ? pooling_.w.output : 1),
        rows_in_plane_(is_by_planes() ? 1 : pooling_.d.output * pooling_.h.output),
        rows_(rows_in_plane_ * pooled.planes) {}

  int64_t size() const { return rows_; }
  // The parts of MaxPoolShare in a row.
  int64_t parts_in_row() const { return parts_in_row_; }
  const PoolPlan& plan() const { return plan_; }
  bool is_by_planes() const { return plan_.is_by_planes; }
  int64_t plane_elements() const { return pooling_.d.input * pooling_.h.input * row_cells_; }

  // The largest number of elements from begin(row) to end(row).
  int64_t most_elements() const {
    const int64_t depths = least(pooling_.d.reach() + 1, pooling_.d.input);
    const int64_t heights = least(pooling_.h.reach() + 1, pooling_.h.input);
    if (is_by_planes()) return plane_elements();
    return row_cells_ * (pooling_.d.reach() > 0 ? depths * pooling_.h.input : heights);
  }

  // The first element that this row or a later one needs.
  int64_t begin(int64_t row) const {
    const Position at = position(row);
    if (is_by_planes()) return at.plane * plane_elements();
    // The first row of windows of the next slice begins higher up.
    const int64_t height = pooling_.d.reach() > 0 ? 0 : first_cell(pooling_.h, at.h);
    const int64_t cell_rows = first_cell(pooling_.d, at.d) * pooling_.h.input + height;
    return at.plane * plane_elements() + cell_rows * row_cells_;
  }

  // Behind the last element that this row or an earlier one needs.
  int64_t end(int64_t row) const {
    const Position at = position(row);
    if (is_by_planes()) return (at.plane + 1) * plane_elements();
    int64_t cell_rows = cell_rows_up_to(at.d, at.h);
    if (at.d > 0) {
      const int64_t before = cell_rows_up_to(at.d - 1, pooling_.h.output - 1);
      cell_rows = cell_rows > before ? cell_rows : before;
    }
    return at.plane * plane_elements() + cell_rows * row_cells_;
  }

  // The number of rows that need none of the elements from this one on.
  int64_t complete_before(int64_t element) const {
    const int64_t plane = element / plane_elements();
    int64_t low = plane * rows_in_plane_;
    int64_t high = least(low + rows_in_plane_, rows_);
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (end(middle) <= element) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  struct Position {
    int64_t plane;
    int64_t d;
    int64_t h;
  };

  // Between them window o has all its cells. They grow with o, while those of a dilated window that
  // reaches over an end of the input need not.
  static int64_t first_cell(const Window& window, int64_t o) {
    return window.start(o) > 0 ? window.start(o) : 0;
  }
  static int64_t last_cell(const Window& window, int64_t o) {
    return least(window.start(o) + window.reach(), window.input - 1);
  }

  static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

  Position position(int64_t row) const {
    const int64_t plane = row / rows_in_plane_;
    const int64_t in_plane = row - plane * rows_in_plane_;
    const int64_t d = in_plane / pooling_.h.output;
    return {plane, d, in_plane - d * pooling_.h.output};
  }

  int64_t cell_rows_up_to(int64_t o_d, int64_t o_h) const {
    return last_cell(pooling_.d, o_d) * pooling_.h.input + last_cell(pooling_.h, o_h) + 1;
  }

  const Pooling pooling_;
  const PoolPlan plan_;
  const int64_t row_cells_;
  const int64_t parts_in_row_;
  const int64_t rows_in_plane_;
  const int64_t rows_;
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
