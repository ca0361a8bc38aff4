#pragma once

#include "cuda/pool/max_pool_call.h"
#include "cuda/relu/counting_relu_call.h"
#include "relu/binning.h"
#include "relu/unit_layout.h"

namespace relustat::cuda {

// Counts on the current device and stream, and pools in the same kernel if there is one for it.
// Returns whether it has pooled. cuda/relu_pool/instances compiles each format in a source of its
// own, because nvcc takes long.
template <class Format>
bool launch_relu_pool(Binning binning, const UnitLayout& units, const CountingReluCall& relu,
                      const MaxPoolCall& pool);

}  // namespace relustat::cuda
