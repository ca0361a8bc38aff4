#pragma once

#include "cuda/pool/max_unpool_call.h"

namespace relustat::cuda {

// On the current device and stream. csrc/cuda/instances compiles them for each format, in sources
// of their own: nvcc takes long.
template <class Format>
void launch_max_unpool(const MaxUnpoolCall& call);
template <class Format>
void launch_max_unpool_backward(const MaxUnpoolBackwardCall& call);

}  // namespace relustat::cuda
