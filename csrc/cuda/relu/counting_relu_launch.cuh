#pragma once

#include "cuda/relu/counting_relu.cuh"
#include "cuda/relu/counting_relu_launch.h"
#include "cuda/relu/launch_by_tiling.h"

namespace relustat::cuda {

template <class Format>
void launch_counting_relu(Binning binning, const UnitLayout& units, const CountingReluCall& call) {
  with_counting_relu_kernel_of<Format, /*kWrites=*/true>(binning, units, current_limits(), call,
                                                         launch_by_tiling);
}

}  // namespace relustat::cuda
