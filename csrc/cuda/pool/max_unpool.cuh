#pragma once

#include <cstdint>

#include "common/with_format.h"
#include "cuda/common/divider.h"
#include "cuda/common/grid.cuh"
#include "cuda/common/pack.h"
#include "cuda/pool/known_windows.h"
#include "cuda/pool/max_unpool_call.h"
#include "cuda/pool/max_unpool_quads.cuh"
#include "pool/unpooled_cells.h"

// The CUDA kernels of max_unpool: a thread gathers what windows leave in a few neighbouring cells.
// Wrong switches have no cell and are left out. Torch-free: tests/cuda_host runs them
// without a GPU.

namespace relustat::cuda {

// The arguments of the kernels. A cell has a position: [plane, d, h, run of cells], or
// [image, d, h, w, pack of channels].
template <class Index>
struct MaxUnpoolArguments {
  const void* y;
  const void* offsets;
  void* x;
  BasicPooling<Index> pooling;
  PositionSizes<Index> sizes;
  Index threads;

  MaxUnpoolArguments(const MaxUnpoolCall& call, int64_t in_row, int64_t packs)
      : y(call.y),
        offsets(call.offsets),
        x(call.x),
        pooling(call.pooling),
        sizes(call.pooling.d.input, call.pooling.h.input, in_row, packs),
        threads(static_cast<Index>(sizes.positions(call.planes))) {}
};

// For contiguous planes: kCells cells of a row.
template <class Format, class Offset, class Index, class Windows,
          template <class, class> class Cells, int kCells>
__global__ void max_unpool_planes_kernel(
    const __grid_constant__ MaxUnpoolArguments<Index> arguments) {
  using Bits = typename Format::Bits;
  BasicPooling<Index> pooling = arguments.pooling;
  Windows::set(pooling);
  const auto* const y = static_cast<const Bits*>(arguments.y);
  const auto* const offsets = static_cast<const Offset*>(arguments.offsets);
  for_each_position(arguments.threads, [&](Index position) {
    const Split<Index> run(position, arguments.sizes.w);
    const Split<Index> h(run.rest, arguments.sizes.h);
    const Split<Index> d(h.rest, arguments.sizes.d);
    const Index first = run.last * kCells;
    const Index left = pooling.w.input - first;
    const Index last = first + (left < kCells ? left : kCells) - 1;
    const Index near_begin = pooling.w.windows_near(first).begin;
    const Index near_end = pooling.w.windows_near(last).end;

    Cells<Format, Single> cells[kCells];
    pooling.d.for_each_cover(d.last, pooling.d.windows_near(d.last), [&](Index o_d, Index tap_d) {
      pooling.h.for_each_cover(h.last, pooling.h.windows_near(h.last), [&](Index o_h, Index tap_h) {
        const Index first_switch = pooling.row_switch(tap_d, tap_h);
        const Index row = d.rest * pooling.outputs() + pooling.window(o_d, o_h, 0);
        const auto look = [&](Index o) {
          // Both are loaded together: to wait for the switch first would take twice as long.
          const Index tap = static_cast<Index>(offsets[row + o]) - first_switch;
          const Bits value = y[row + o];
          if (tap < 0 || tap >= pooling.w.kernel) return;
          const Index at = pooling.w.cell(o, tap) - first;
#pragma unroll
          for (int c = 0; c < kCells; ++c) cells[c].offer(c == at, value);
        };
        if constexpr (Windows::most_near(kCells) > 0) {
#pragma unroll
          for (int i = 0; i < Windows::most_near(kCells); ++i) {
            if (near_begin + i < near_end) look(near_begin + i);
          }
        } else {
          for (Index o = near_begin; o < near_end; ++o) look(o);
        }
      });
    });

    Pack<Bits, kCells> bits;
#pragma unroll
    for (int c = 0; c < kCells; ++c) bits.of[c] = cells[c].bits();
    auto* const x = static_cast<Bits*>(arguments.x) + run.rest * pooling.w.input + first;
    if (pooling.w.input % kCells == 0) {
      *reinterpret_cast<Pack<Bits, kCells>*>(x) = bits;
    } else {
#pragma unroll
      for (int c = 0; c < kCells; ++c) {
        if (c < left) x[c] = bits.of[c];
      }
    }
  });
}

// For channels last: kVector channels of a cell.
template <class Format, class Offset, class Index, class Windows,
          template <class, class> class Cells, int kVector>
__global__ void max_unpool_pixels_kernel(
    const __grid_constant__ MaxUnpoolArguments<Index> arguments) {
  using Bits = typename Format::Bits;
  using Values = Pack<Bits, kVector>;
  using Offsets = Pack<Offset, kVector>;
  BasicPooling<Index> pooling = arguments.pooling;
  Windows::set(pooling);
  const auto* const y = static_cast<const Values*>(arguments.y);
  const auto* const offsets = static_cast<const Offsets*>(arguments.offsets);
  for_each_position(arguments.threads, [&](Index position) {
    const Split<Index> pack(position, arguments.sizes.packs);
    const Split<Index> w(pack.rest, arguments.sizes.w);
    const Split<Index> h(w.rest, arguments.sizes.h);
    const Split<Index> d(h.rest, arguments.sizes.d);

    Cells<Format, Single> cells[kVector];
    pooling.d.for_each_cover(d.last, pooling.d.windows_near(d.last), [&](Index o_d, Index tap_d) {
      pooling.h.for_each_cover(h.last, pooling.h.windows_near(h.last), [&](Index o_h, Index tap_h) {
        pooling.w.for_each_cover(
            w.last, pooling.w.windows_near(w.last), [&](Index o_w, Index tap_w) {
              const Index window = d.rest * pooling.outputs() + pooling.window(o_d, o_h, o_w);
              const Index here = pooling.row_switch(tap_d, tap_h) + tap_w;
              const Index at = window * arguments.sizes.packs.divisor + pack.last;
              const Offsets found = offsets[at];
              const Values values = y[at];
#pragma unroll
              for (int v = 0; v < kVector; ++v) cells[v].offer(found.of[v] == here, values.of[v]);
            });
      });
    });

    Values bits;
#pragma unroll
    for (int v = 0; v < kVector; ++v) bits.of[v] = cells[v].bits();
    static_cast<Values*>(arguments.x)[position] = bits;
  });
}

// Calls launch(kernel, arguments).
template <class Format, class Launch>
void with_max_unpool_kernel_of(const MaxUnpoolCall& call, const Launch& launch) {
  constexpr int kPack = kPackBytes / sizeof(typename Format::Bits);
  const auto run =
      [&]<class Offset, class Index, class Windows, template <class, class> class Cells>() {
        if (call.channels == 1) {
          const int64_t runs = (call.pooling.w.input + kPack - 1) / kPack;
          launch(max_unpool_planes_kernel<Format, Offset, Index, Windows, Cells, kPack>,
                 MaxUnpoolArguments<Index>(call, runs, 1));
          return;
        }
        if (call.channels % kPack == 0 && is_aligned(call.y, kPackBytes) &&
            is_aligned(call.offsets, kPack * sizeof(Offset))) {
          launch(max_unpool_pixels_kernel<Format, Offset, Index, Windows, Cells, kPack>,
                 MaxUnpoolArguments<Index>(call, call.pooling.w.input, call.channels / kPack));
        } else {
          launch(max_unpool_pixels_kernel<Format, Offset, Index, Windows, Cells, 1>,
                 MaxUnpoolArguments<Index>(call, call.pooling.w.input, call.channels));
        }
      };
  const auto with_overlap = [&]<class Offset, class Index, class Windows>() {
    switch (call.overlap) {
      case Overlap::kLast:
        return run.template operator()<Offset, Index, Windows, LastCells>();
      case Overlap::kSum:
        return run.template operator()<Offset, Index, Windows, SumCells>();
      case Overlap::kMax:
        return run.template operator()<Offset, Index, Windows, MaxCells>();
    }
  };
  const bool is_common = call.fits_narrow_index() && !call.wide_offsets;
  if (are_quads(call)) {
    with_max_unpool_quads_kernel<Format>(call, launch);
  } else if (is_common && SquareWindows<2, 2>::fits(call.pooling)) {
    with_overlap.template operator()<uint8_t, int32_t, SquareWindows<2, 2>>();
  } else if (is_common && SquareWindows<3, 2>::fits(call.pooling)) {
    with_overlap.template operator()<uint8_t, int32_t, SquareWindows<3, 2>>();
  } else {
    with_offset_and_index(call, [&]<class Offset, class Index>() {
      with_overlap.template operator()<Offset, Index, AnyWindows>();
    });
  }
}

template <class Launch>
void with_max_unpool_kernel(const MaxUnpoolCall& call, const Launch& launch) {
  with_format(call.dtype, [&]<class Format>() { with_max_unpool_kernel_of<Format>(call, launch); });
}

}  // namespace relustat::cuda
