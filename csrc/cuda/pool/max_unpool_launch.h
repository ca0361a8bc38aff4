#pragma once

#include "cuda/pool/max_unpool_call.h"

namespace relustat::cuda {

// Launches on the current device and stream. cuda/pool/instances compiles each format in a source
// of its own, because nvcc takes long.
template <class Format>
void launch_max_unpool(const MaxUnpoolCall& call);
template <class Format>
void launch_max_unpool_backward(const MaxUnpoolBackwardCall& call);

}  // namespace relustat::cuda
