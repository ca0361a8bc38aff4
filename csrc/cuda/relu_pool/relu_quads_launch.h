#pragma once

#include "cuda/pool/max_pool_call.h"
#include "cuda/relu/counting_relu_call.h"
#include "relu/binning.h"
#include "relu/unit_layout.h"

namespace relustat::cuda {

// Launches the kernel for quads on the current device and stream, if it serves this call; else
// returns false. cuda/relu_pool/instances compiles each format in a source of its own.
template <class Format>
bool launch_relu_quads(Binning binning, const UnitLayout& units, const CountingReluCall& relu,
                       const MaxPoolCall& pool);

}  // namespace relustat::cuda
