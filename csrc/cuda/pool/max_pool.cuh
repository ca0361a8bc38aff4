#pragma once

#include <cstdint>

#include "common/with_format.h"
#include "cuda/common/divider.h"
#include "cuda/common/grid.cuh"
#include "cuda/pool/float_ranking.cuh"
#include "cuda/pool/max_pool_call.h"

// The CUDA kernels of max_pool: a thread for each output, or for a few neighbours. Torch-free:
// tests/cuda_host runs them without a GPU.

namespace relustat::cuda {

// The arguments of the kernels. An output has a position: [plane, d, h, w] or, in packs of
// kVector channels, [image, d, h, w, pack].
template <class Index>
struct MaxPoolArguments {
  const void* x;
  void* y;
  void* offsets;
  BasicPooling<Index> pooling;
  PositionSizes<Index> sizes;
  Index threads;
  bool rectifies;

  MaxPoolArguments(const MaxPoolCall& call, int64_t in_row, int64_t packs)
      : x(call.x),
        y(call.y),
        offsets(call.offsets),
        pooling(call.pooling),
        sizes(call.pooling.d.output, call.pooling.h.output, in_row, packs),
        threads(static_cast<Index>(sizes.positions(call.planes))),
        rectifies(call.rectifies) {}

  // What stays if nothing larger comes. All that a ReLU changes becomes 0, which comes first then.
  template <class Format>
  __device__ typename Format::Bits least() const {
    return rectifies ? 0 : Format::kSign | Format::kInfinity;
  }
};

// Calls look(d, h, w, is_inside) for the taps of a window in order; some may lie outside the input.
template <class Index, class Look>
__device__ void for_each_tap(AnyWindows, BasicRange<Index> d, BasicRange<Index> h,
                             BasicRange<Index> w, const Look& look) {
  for (Index tap_d = d.begin; tap_d < d.end; ++tap_d) {
    for (Index tap_h = h.begin; tap_h < h.end; ++tap_h) {
      for (Index tap_w = w.begin; tap_w < w.end; ++tap_w) look(tap_d, tap_h, tap_w, true);
    }
  }
}
template <int kSide, class Index, class Look>
__device__ void for_each_tap(SquareWindows<kSide, 0>, BasicRange<Index>, BasicRange<Index> h,
                             BasicRange<Index> w, const Look& look) {
  const auto look_at_all = [&](const auto& is_inside) {
#pragma unroll
    for (Index tap_h = 0; tap_h < kSide; ++tap_h) {
#pragma unroll
      for (Index tap_w = 0; tap_w < kSide; ++tap_w) {
        look(Index{0}, tap_h, tap_w, is_inside(tap_h, tap_w));
      }
    }
  };
  // Most windows lie within the input.
  if (h.size() == kSide && w.size() == kSide) {
    look_at_all([](Index, Index) { return true; });
  } else {
    look_at_all([&](Index tap_h, Index tap_w) { return h.contains(tap_h) && w.contains(tap_w); });
  }
}

// For contiguous planes (kVector is 1), or for kVector channels at a time if channels are last.
template <class Format, class Offset, class Index, class Windows, int kVector, bool kChannelsLast>
__global__ void max_pool_kernel(const __grid_constant__ MaxPoolArguments<Index> arguments) {
  using Bits = typename Format::Bits;
  using Values = Pack<Bits, kVector>;
  using Offsets = Pack<Offset, kVector>;
  constexpr auto kNegativeInfinity = static_cast<Bits>(Format::kSign | Format::kInfinity);
  BasicPooling<Index> pooling = arguments.pooling;
  Windows::set(pooling);
  const auto* const x = static_cast<const Values*>(arguments.x);
  for_each_position(arguments.threads, [&](Index position) {
    Index pack = 0;
    Index window = position;
    if constexpr (kChannelsLast) {
      const Split<Index> split(position, arguments.sizes.packs);
      pack = split.last;
      window = split.rest;
    }
    const Split<Index> w(window, arguments.sizes.w);
    const Split<Index> h(w.rest, arguments.sizes.h);
    const Split<Index> d(h.rest, arguments.sizes.d);
    const auto inside_d = pooling.d.taps_inside(d.last);
    const auto inside_h = pooling.h.taps_inside(h.last);
    const auto inside_w = pooling.w.taps_inside(w.last);
    const Index packs = kChannelsLast ? arguments.sizes.packs.divisor : 1;
    const Values* const plane = x + d.rest * (pooling.inputs() * packs) + pack;

    LargestFloat<Format> largest[kVector];
    const Index first = pooling.row_switch(inside_d.begin, inside_h.begin) + inside_w.begin;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      largest[v].begin(arguments.template least<Format>(), static_cast<Bits>(first));
    }
    const auto look = [&](Index tap_d, Index tap_h, Index tap_w, bool is_inside) {
      Values values;
#pragma unroll
      for (int v = 0; v < kVector; ++v) values.of[v] = kNegativeInfinity;
      if (is_inside) {
        const Index cell =
            pooling.cell(pooling.d.cell(d.last, tap_d), pooling.h.cell(h.last, tap_h),
                         pooling.w.cell(w.last, tap_w));
        values = plane[cell * packs];
      }
      const auto at = static_cast<Bits>(pooling.row_switch(tap_d, tap_h) + tap_w);
#pragma unroll
      for (int v = 0; v < kVector; ++v) largest[v].offer(values.of[v], at);
    };
    for_each_tap(Windows{}, inside_d, inside_h, inside_w, look);

    Values values;
    Offsets offsets;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      values.of[v] = largest[v].bits;
      offsets.of[v] = static_cast<Offset>(largest[v].position);
    }
    static_cast<Values*>(arguments.y)[position] = values;
    static_cast<Offsets*>(arguments.offsets)[position] = offsets;
  });
}

// The most common windows, 2 x 2 side by side: two rows are read in vectors, for kOutputs outputs.
template <class Format, int kOutputs>
__global__ void max_pool_quads_kernel(const __grid_constant__ MaxPoolArguments<int32_t> arguments) {
  using Bits = typename Format::Bits;
  using Row = Pack<Bits, 2 * kOutputs>;
  const int32_t rows_in = arguments.pooling.h.input;
  const int32_t in_row = arguments.sizes.w.divisor;
  for_each_position(arguments.threads, [&](int32_t position) {
    const Split<int32_t> w(position, arguments.sizes.w);
    const Split<int32_t> h(w.rest, arguments.sizes.h);
    const Row* const x =
        static_cast<const Row*>(arguments.x) + (h.rest * rows_in + 2 * h.last) * in_row + w.last;
    const Row rows[] = {x[0], x[in_row]};
    Pack<Bits, kOutputs> values;
    Pack<uint8_t, kOutputs> offsets;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      LargestFloat<Format> largest;
      largest.begin(arguments.template least<Format>(), 0);
#pragma unroll
      for (int tap = 0; tap < 4; ++tap) {
        largest.offer(rows[tap / 2].of[2 * o + tap % 2], static_cast<Bits>(tap));
      }
      values.of[o] = largest.bits;
      offsets.of[o] = static_cast<uint8_t>(largest.position);
    }
    static_cast<Pack<Bits, kOutputs>*>(arguments.y)[position] = values;
    static_cast<Pack<uint8_t, kOutputs>*>(arguments.offsets)[position] = offsets;
  });
}

// Calls launch(kernel, arguments).
template <class Format, class Launch>
void with_max_pool_kernel_of(const MaxPoolCall& call, const Launch& launch) {
  constexpr int kSize = sizeof(typename Format::Bits);
  constexpr int kPack = kPackBytes / kSize;
  const auto run = [&]<class Offset, class Index, class Windows, int kVector, bool kLast>() {
    const int64_t packs = kLast ? call.channels / kVector : 1;
    launch(max_pool_kernel<Format, Offset, Index, Windows, kVector, kLast>,
           MaxPoolArguments<Index>(call, call.pooling.w.output, packs));
  };
  const auto run_quads = [&]<int kOutputs>() {
    launch(max_pool_quads_kernel<Format, kOutputs>,
           MaxPoolArguments<int32_t>(call, call.pooling.w.output / kOutputs, 1));
  };
  const auto run_any = [&]<class Offset, class Index>() {
    if (call.channels == 1) {
      run.template operator()<Offset, Index, AnyWindows, 1, false>();
    } else if (call.channels % kPack == 0 && is_aligned(call.x, kPackBytes)) {
      run.template operator()<Offset, Index, AnyWindows, kPack, true>();
    } else {
      run.template operator()<Offset, Index, AnyWindows, 1, true>();
    }
  };
  const bool is_common = call.fits_narrow_index() && !call.wide_offsets && call.channels == 1;
  if (is_common && are_vector_quads(call, kPack / 2, kSize)) {
    run_quads.template operator()<kPack / 2>();
  } else if (is_common && are_vector_quads(call, 1, kSize)) {
    run_quads.template operator()<1>();
  } else if (is_common && SquareWindows<2, 0>::fits(call.pooling)) {
    run.template operator()<uint8_t, int32_t, SquareWindows<2, 0>, 1, false>();
  } else if (is_common && SquareWindows<3, 0>::fits(call.pooling)) {
    run.template operator()<uint8_t, int32_t, SquareWindows<3, 0>, 1, false>();
  } else {
    with_offset_and_index(call, run_any);
  }
}

template <class Launch>
void with_max_pool_kernel(const MaxPoolCall& call, const Launch& launch) {
  with_format(call.dtype, [&]<class Format>() { with_max_pool_kernel_of<Format>(call, launch); });
}

}  // namespace relustat::cuda
