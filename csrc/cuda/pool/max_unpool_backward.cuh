#pragma once

#include <cstdint>

#include "common/with_format.h"
#include "cuda/common/divider.h"
#include "cuda/common/grid.cuh"
#include "cuda/pool/max_unpool_backward_quads.cuh"
#include "cuda/pool/max_unpool_call.h"
#include "cuda/pool/tap.h"
#include "pool/unpool_winner.h"

// The CUDA kernel of max_unpool's backward: a thread for each value that was unpooled. Torch-free:
// tests/cuda_host runs it without a GPU.

namespace relustat::cuda {

template <class Index>
struct MaxUnpoolBackwardArguments {
  const void* gradient;
  const void* y;
  const void* offsets;
  void* y_gradient;
  Overlap overlap;
  BasicPooling<Index> pooling;
  Index threads;
  TapDividers<Index> dividers;

  explicit MaxUnpoolBackwardArguments(const MaxUnpoolBackwardCall& call)
      : gradient(call.gradient),
        y(call.y),
        offsets(call.offsets),
        y_gradient(call.y_gradient),
        overlap(call.overlap),
        pooling(call.pooling),
        threads(static_cast<Index>(call.planes * Pooling(call.pooling).outputs() * call.channels)),
        dividers(call.pooling, call.channels) {}
};

template <class Format, class Offset, class Index>
__global__ void max_unpool_backward_kernel(
    const __grid_constant__ MaxUnpoolBackwardArguments<Index> arguments) {
  using Bits = typename Format::Bits;
  const BasicPooling<Index>& pooling = arguments.pooling;
  const auto* const gradient = static_cast<const Bits*>(arguments.gradient);
  const auto* const offsets = static_cast<const Offset*>(arguments.offsets);
  auto* const y_gradient = static_cast<Bits*>(arguments.y_gradient);
  const Index channels = arguments.dividers.channels.divisor;
  const UnpoolWinner<Format, Offset, Index> winner{pooling, static_cast<const Bits*>(arguments.y),
                                                   offsets, channels, arguments.overlap};
  const bool may_lose = arguments.overlap != Overlap::kSum && pooling.overlaps();
  for_each_position(arguments.threads, [&](Index position) {
    const Tap<Index> tap(position, offsets[position], pooling, arguments.dividers);
    // The gradient of a wrong switch.
    Bits bits = 0;
    if (tap.is_cell) {
      const PlaneCell<Index>& cell = tap.cell;
      const Index at = cell.plane * pooling.inputs() + pooling.cell(cell.d, cell.h, cell.w);
      if (!may_lose || winner.of(cell) == position) bits = gradient[at * channels + cell.channel];
    }
    y_gradient[position] = bits;
  });
}

// Calls launch(kernel, arguments).
template <class Format, class Launch>
void with_max_unpool_backward_kernel_of(const MaxUnpoolBackwardCall& call, const Launch& launch) {
  if (are_quads(call)) return with_max_unpool_backward_quads_kernel<Format>(call, launch);
  with_offset_and_index(call, [&]<class Offset, class Index>() {
    launch(max_unpool_backward_kernel<Format, Offset, Index>,
           MaxUnpoolBackwardArguments<Index>(call));
  });
}

template <class Launch>
void with_max_unpool_backward_kernel(const MaxUnpoolBackwardCall& call, const Launch& launch) {
  with_format(call.dtype,
              [&]<class Format>() { with_max_unpool_backward_kernel_of<Format>(call, launch); });
}

}  // namespace relustat::cuda
