#pragma once

#include "cuda/common/launch.h"
#include "cuda/pool/max_unpool.cuh"
#include "cuda/pool/max_unpool_backward.cuh"
#include "cuda/pool/max_unpool_launch.h"

namespace relustat::cuda {

template <class Format>
void launch_max_unpool(const MaxUnpoolCall& call) {
  with_max_unpool_kernel_of<Format>(call, launch_for_each_position);
}

template <class Format>
void launch_max_unpool_backward(const MaxUnpoolBackwardCall& call) {
  with_max_unpool_backward_kernel_of<Format>(call, launch_for_each_position);
}

}  // namespace relustat::cuda
