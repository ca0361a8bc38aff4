#pragma once

#include <ATen/core/Tensor.h>

#include "cpu/kernels/pool/max_pool.h"
#include "pool/tensors.h"

namespace relustat::cpu {

// A share of all of a call, without its input.
MaxPoolShare max_pool_outputs(const MaxPoolTensors& tensors);

// x: dense, in the memory format of the outputs.
void pool_windows(const at::Tensor& x, MaxPoolShare whole);

}  // namespace relustat::cpu
