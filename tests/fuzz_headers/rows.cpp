#include <algorithm>

#include "cpu/kernels/common/row_walk.h"
#include "cpu/kernels/pool/window_rows.h"
#include "input.h"
#include "poolings.h"

// Rows of windows: in their order, and the elements that each needs.

namespace {

using namespace relustat;
using fuzz::cell_of;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::Input;

void check_row_walk(Input& input) {
  const int64_t depths = input.number(1, 5), heights = input.number(1, 5);
  const int64_t begin = input.number(0, 60), end = begin + input.number(0, 60);
  cpu::RowWalk walk(depths, heights, begin);
  for (int64_t row = begin; row < end; ++row, walk.next()) {
    expect_equal("RowWalk's row", row, walk.row);
    expect_equal("RowWalk's plane", row / (depths * heights), walk.plane, row);
    expect_equal("RowWalk's d", row / heights % depths, walk.d, row);
    expect_equal("RowWalk's h", row % heights, walk.h, row);
  }
}

// Rows of windows as a stream of elements has them: see cpu/kernels/pool/pool_stream.h.
void check_rows(Input& input, const PoolingNumbers& pooling) {
  cpu::PooledTensor pooled{};
  pooled.share.pooling = pooling;
  pooled.share.channels = input.number(0, 3);
  pooled.planes = input.number(1, 3);
  pooled.element_bytes = sizeof(float);
  const cpu::WindowRows rows(pooled);
  if (rows.is_by_planes()) return;
  const auto& [d, h, w] = pooling;
  const int64_t row_cells = w.input * std::max<int64_t>(pooled.share.channels, 1);
  const int64_t in_plane = d.output * h.output;
  expect_equal("rows of windows", in_plane * pooled.planes, rows.size());
  int64_t most_end = 0;
  for (int64_t row = 0; row < rows.size(); ++row) {
    int64_t first = INT64_MAX, last = 0;
    for (int64_t tap_d = 0; tap_d < d.kernel; ++tap_d) {
      for (int64_t tap_h = 0; tap_h < h.kernel; ++tap_h) {
        const int64_t depth = cell_of(d, row % in_plane / h.output, tap_d);
        const int64_t height = cell_of(h, row % h.output, tap_h);
        if (depth < 0 || depth >= d.input || height < 0 || height >= h.input) continue;
        const int64_t plane = row / in_plane;
        const int64_t begin = ((plane * d.input + depth) * h.input + height) * row_cells;
        first = std::min(first, begin);
        last = std::max(last, begin + row_cells);
      }
    }
    expect("what a row needs begins no earlier", rows.begin(row) <= first, row);
    expect("what a row needs ends no later", last <= rows.end(row), row);
    expect("a row's elements fit", rows.end(row) - rows.begin(row) <= rows.most_elements(), row);
    if (row > 0) {
      expect("rows begin in order", rows.begin(row - 1) <= rows.begin(row), row);
      expect("rows end in order", rows.end(row - 1) <= rows.end(row), row);
    }
    most_end = rows.end(row);
  }
  const int64_t element = input.number(0, most_end);
  int64_t complete = 0;
  while (complete < rows.size() && rows.end(complete) <= element) ++complete;
  expect_equal("complete_before", complete, rows.complete_before(element), element);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  check_row_walk(input);
  PoolingNumbers pooling{};
  if (fuzz::read_pooling(input, pooling)) check_rows(input, pooling);
  return 0;
}
