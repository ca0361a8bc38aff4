#pragma once

#include "cuda/relu/counting_relu_launch.cuh"
#include "cuda/relu_pool/relu_max_pool.cuh"
#include "cuda/relu_pool/relu_pool_launch.h"

namespace relustat::cuda {

template <class Format>
bool launch_relu_pool(Binning binning, const UnitLayout& units, const CountingReluCall& relu,
                      const MaxPoolCall& pool) {
  return with_relu_pool_kernel<Format>(binning, units, current_limits(), relu, pool,
                                       launch_by_tiling);
}

}  // namespace relustat::cuda
