#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/kernels.h"

namespace relustat::cpu {

// The loops for this machine, or for the level that ATEN_CPU_CAPABILITY asks for.
const Kernels& kernels();

// Of a dtype that was checked.
Dtype dtype_of(const at::Tensor& x);

}  // namespace relustat::cpu
