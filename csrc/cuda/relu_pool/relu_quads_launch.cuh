#pragma once

#include "cuda/relu/counting_relu_launch.cuh"
#include "cuda/relu_pool/relu_max_pool.cuh"
#include "cuda/relu_pool/relu_quads_launch.h"

namespace relustat::cuda {

template <class Format>
bool launch_relu_quads(Binning binning, const UnitLayout& units, const CountingReluCall& relu,
                       const MaxPoolCall& pool) {
  return with_relu_quads_kernel<Format>(
      binning, units, current_limits(), relu, pool,
      [](auto kernel, const CountingReluCall& arguments) {
        const CountingReluTiling& tiling = arguments.tiling;
        launch(kernel, tiling.blocks, kCountingReluThreads, tiling.shared_bytes, arguments);
      });
}

}  // namespace relustat::cuda
