#pragma once

#include "cuda/relu/counting_activation.cuh"
#include "cuda/relu/counting_activation_launch.h"
#include "cuda/relu/launch_by_tiling.h"

namespace relustat::cuda {

template <class Format>
void launch_counting_activation(Binning binning, const UnitLayout& units,
                                const CountingActivationCall<Format>& call) {
  with_counting_activation_kernel_of<Format>(binning, units, current_limits(), call,
                                             launch_by_tiling);
}

}  // namespace relustat::cuda
