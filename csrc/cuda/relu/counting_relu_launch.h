#pragma once

#include "cuda/relu/counting_relu_call.h"
#include "relu/binning.h"
#include "relu/unit_layout.h"

namespace relustat::cuda {

// On the current device and stream. csrc/cuda/instances compiles it for each format, in a source of
// its own: nvcc takes long.
template <class Format>
void launch_counting_relu(Binning binning, const UnitLayout& units, const CountingReluCall& call);

}  // namespace relustat::cuda
