#pragma once

#include <string>

#include "pool/tensors.h"

namespace relustat::cuda {

// Raises if a switch stands for no cell of the input; waits for the device to tell. Not while a
// graph is captured: nothing can wait then.
void check_switches(const std::string& op, const at::Tensor& offsets, const PooledPlanes& pooled);

}  // namespace relustat::cuda
