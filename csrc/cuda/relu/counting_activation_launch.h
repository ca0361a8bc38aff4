#pragma once

#include "cuda/relu/counting_activation_call.h"
#include "relu/binning.h"
#include "relu/unit_layout.h"

namespace relustat::cuda {

// Launches on the current device and stream. cuda/relu/instances compiles each format in a source
// of its own, because nvcc takes long.
template <class Format>
void launch_counting_activation(Binning binning, const UnitLayout& units,
                                const CountingActivationCall<Format>& call);

}  // namespace relustat::cuda
