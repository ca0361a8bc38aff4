#pragma once

#include <cstdint>

#include "cuda/common/divider.h"
#include "cuda/pool/known_windows.h"
#include "cuda/pool/pooling_call.h"

// Windows of 2 x 2 cells, side by side over contiguous planes, beginning at the first cell. They do
// not overlap: a cell belongs to one window or to none.

namespace relustat::cuda {

inline bool are_quads(const PoolingCall& call) {
  const WindowNumbers& h = call.pooling.h;
  const WindowNumbers& w = call.pooling.w;
  return call.channels == 1 && !call.wide_offsets && call.fits_narrow_index() &&
         SquareWindows<2, 2>::fits(call.pooling) && h.padding == 0 && w.padding == 0;
}

// Whether rows of cells are whole vectors of kWindows windows.
template <int kWindows>
bool are_whole_quads(const PoolingCall& call) {
  return call.pooling.w.input % (2 * kWindows) == 0;
}

// Runs of windows are found by their position: [plane, row of windows, run of a row].
struct QuadRuns {
  int32_t rows_in;
  int32_t rows_out;
  int32_t in_row;
  int32_t out_row;
  Divider<int32_t> rows;
  Divider<int32_t> runs;
  int32_t threads;

  QuadRuns(const PoolingCall& call, int64_t rows, int64_t runs)
      : rows_in(static_cast<int32_t>(call.pooling.h.input)),
        rows_out(static_cast<int32_t>(call.pooling.h.output)),
        in_row(static_cast<int32_t>(call.pooling.w.input)),
        out_row(static_cast<int32_t>(call.pooling.w.output)),
        rows(rows),
        runs(runs),
        threads(static_cast<int32_t>(call.planes * rows * runs)) {}
};

}  // namespace relustat::cuda
