#pragma once

#include <ATen/core/Tensor.h>

#include "autograd/pooling_ops.h"

namespace relustat::cpu {

// PyTorch's indices: the flat positions of the switches' cells in the planes of the input, int64.
at::Tensor flat_indices(const at::Tensor& offsets, const PoolingArguments& arguments,
                        at::IntArrayRef input_size);

}  // namespace relustat::cpu
