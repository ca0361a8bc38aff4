#pragma once

#include <cstdint>

#include "cuda/common/grid.cuh"
#include "cuda/common/pack.h"
#include "cuda/pool/max_unpool_call.h"
#include "cuda/pool/quads.h"
#include "pool/unpooled_cells.h"

// The CUDA kernel of max_unpool for quads: a thread has the cells of a few neighbouring windows.

namespace relustat::cuda {

struct UnpoolQuadsArguments {
  const void* y;
  const void* offsets;
  void* x;
  QuadRuns quads;
  int32_t threads;
};

// kWhole: all loads and stores are of vectors. Cells that no window covers have runs, too.
template <class Format, template <class, class> class Cells, int kWindows, bool kWhole>
__global__ void max_unpool_quads_kernel(const __grid_constant__ UnpoolQuadsArguments arguments) {
  using Bits = typename Format::Bits;
  using Values = Pack<Bits, kWindows>;
  using Offsets = Pack<uint8_t, kWindows>;
  using Row = Pack<Bits, 2 * kWindows>;
  constexpr uint8_t kNoTap = 4;
  const QuadRuns& quads = arguments.quads;
  for_each_position(arguments.threads, [&](int32_t position) {
    const Split<int32_t> run(position, quads.runs);
    const Split<int32_t> row(run.rest, quads.rows);
    const int32_t first = run.last * kWindows;
    const int32_t window = (row.rest * quads.rows_out + row.last) * quads.out_row + first;
    const auto* const y = static_cast<const Bits*>(arguments.y) + window;
    const auto* const offsets = static_cast<const uint8_t*>(arguments.offsets) + window;
    Values values{};
    Offsets taps;
#pragma unroll
    for (int v = 0; v < kWindows; ++v) taps.of[v] = kNoTap;
    if (row.last < quads.rows_out) {
      if constexpr (kWhole) {
        values = *reinterpret_cast<const Values*>(y);
        taps = *reinterpret_cast<const Offsets*>(offsets);
      } else {
#pragma unroll
        for (int v = 0; v < kWindows; ++v) {
          if (first + v < quads.out_row) {
            values.of[v] = y[v];
            taps.of[v] = offsets[v];
          }
        }
      }
    }

    Row rows[2];
#pragma unroll
    for (int v = 0; v < kWindows; ++v) {
      Cells<Format, Single> cell;
      cell.offer(true, values.of[v]);
      const Bits bits = cell.bits();
#pragma unroll
      for (int tap = 0; tap < 4; ++tap) {
        rows[tap / 2].of[2 * v + tap % 2] = taps.of[v] == tap ? bits : Bits{0};
      }
    }

    auto* const x = static_cast<Bits*>(arguments.x) +
                    (row.rest * quads.rows_in + 2 * row.last) * quads.in_row + 2 * first;
    const bool has_second = 2 * row.last + 1 < quads.rows_in;
    if constexpr (kWhole) {
      *reinterpret_cast<Row*>(x) = rows[0];
      if (has_second) *reinterpret_cast<Row*>(x + quads.in_row) = rows[1];
    } else {
      const int32_t left = quads.in_row - 2 * first;
#pragma unroll
      for (int c = 0; c < 2 * kWindows; ++c) {
        if (c < left) {
          x[c] = rows[0].of[c];
          if (has_second) x[quads.in_row + c] = rows[1].of[c];
        }
      }
    }
  });
}

// Calls launch(kernel, arguments) where the windows are quads.
template <class Format, class Launch>
void with_max_unpool_quads_kernel(const MaxUnpoolCall& call, const Launch& launch) {
  constexpr int kWindows = kPackBytes / sizeof(typename Format::Bits) / 2;
  const int64_t rows = (call.pooling.h.input + 1) / 2;
  const int64_t runs = (call.pooling.w.input + 2 * kWindows - 1) / (2 * kWindows);
  const QuadRuns quads(call, rows, runs);
  const UnpoolQuadsArguments arguments{call.y, call.offsets, call.x, quads, quads.threads};
  const bool is_whole = are_whole_quads<kWindows>(call) && is_aligned(call.y, kPackBytes / 2) &&
                        is_aligned(call.offsets, kWindows);
  // The value of the only window is both the largest and the last.
  if (call.overlap == Overlap::kSum) {
    is_whole ? launch(max_unpool_quads_kernel<Format, SumCells, kWindows, true>, arguments)
             : launch(max_unpool_quads_kernel<Format, SumCells, kWindows, false>, arguments);
  } else {
    is_whole ? launch(max_unpool_quads_kernel<Format, LastCells, kWindows, true>, arguments)
             : launch(max_unpool_quads_kernel<Format, LastCells, kWindows, false>, arguments);
  }
}

}  // namespace relustat::cuda
