#pragma once

#include <cstdint>

#include "common/float_format.h"
#include "cuda/common/grid.cuh"
#include "cuda/common/pack.h"
#include "cuda/pool/max_unpool_call.h"
#include "cuda/pool/quads.h"

// The CUDA kernel of max_unpool's backward for quads: a thread has a few neighbouring windows.

namespace relustat::cuda {

struct UnpoolBackwardQuadsArguments {
  const void* gradient;
  const void* offsets;
  void* y_gradient;
  QuadRuns quads;
  int32_t threads;
};

// kWhole: all loads and stores are of vectors. Wrong switches have no gradient.
template <class Format, int kWindows, bool kWhole>
__global__ void max_unpool_backward_quads_kernel(
    const __grid_constant__ UnpoolBackwardQuadsArguments arguments) {
  using Bits = typename Format::Bits;
  using Values = Pack<Bits, kWindows>;
  using Offsets = Pack<uint8_t, kWindows>;
  using Row = Pack<Bits, 2 * kWindows>;
  const QuadRuns& quads = arguments.quads;
  for_each_position(arguments.threads, [&](int32_t position) {
    const Split<int32_t> run(position, quads.runs);
    const Split<int32_t> row(run.rest, quads.rows);
    const int32_t first = run.last * kWindows;
    const int32_t window = (row.rest * quads.rows_out + row.last) * quads.out_row + first;
    const auto* const gradient = static_cast<const Bits*>(arguments.gradient) +
                                 (row.rest * quads.rows_in + 2 * row.last) * quads.in_row +
                                 2 * first;
    const auto* const offsets = static_cast<const uint8_t*>(arguments.offsets) + window;
    auto* const y_gradient = static_cast<Bits*>(arguments.y_gradient) + window;
    const bool has_second = 2 * row.last + 1 < quads.rows_in;
    if constexpr (kWhole) {
      const Offsets taps = *reinterpret_cast<const Offsets*>(offsets);
      // Without a second row the first one is read again, which needs no branch.
      const Row rows[] = {
          *reinterpret_cast<const Row*>(gradient),
          *reinterpret_cast<const Row*>(gradient + (has_second ? quads.in_row : 0))};
      const int most = has_second ? 4 : 2;
      Values values;
#pragma unroll
      for (int v = 0; v < kWindows; ++v) {
        const int tap = taps.of[v];
        const Bits even = tap & 2 ? rows[1].of[2 * v] : rows[0].of[2 * v];
        const Bits odd = tap & 2 ? rows[1].of[2 * v + 1] : rows[0].of[2 * v + 1];
        const Bits bits = tap & 1 ? odd : even;
        values.of[v] = tap < most ? bits : Bits{0};
      }
      *reinterpret_cast<Values*>(y_gradient) = values;
    } else {
      const int32_t taps = has_second ? 4 : 2;
#pragma unroll
      for (int v = 0; v < kWindows; ++v) {
        if (first + v >= quads.out_row) break;
        const int32_t tap = offsets[v];
        const int32_t column = 2 * v + tap % 2;
        const bool is_cell = tap < taps && 2 * first + column < quads.in_row;
        y_gradient[v] = is_cell ? gradient[tap / 2 * quads.in_row + column] : Bits{0};
      }
    }
  });
}

// Calls launch(kernel, arguments) where the windows are quads.
template <class Format, class Launch>
void with_max_unpool_backward_quads_kernel(const MaxUnpoolBackwardCall& call,
                                           const Launch& launch) {
  constexpr int kWindows = kPackBytes / sizeof(typename Format::Bits) / 2;
  const int64_t runs = (call.pooling.w.output + kWindows - 1) / kWindows;
  const QuadRuns quads(call, call.pooling.h.output, runs);
  const UnpoolBackwardQuadsArguments arguments{call.gradient, call.offsets, call.y_gradient, quads,
                                               quads.threads};
  const bool is_whole = are_whole_quads<kWindows>(call) && is_aligned(call.gradient, kPackBytes) &&
                        is_aligned(call.offsets, kWindows);
  is_whole ? launch(max_unpool_backward_quads_kernel<Format, kWindows, true>, arguments)
           : launch(max_unpool_backward_quads_kernel<Format, kWindows, false>, arguments);
}

}  // namespace relustat::cuda
