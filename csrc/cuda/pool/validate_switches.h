#pragma once

#include <string>

#include "pool/tensors.h"

namespace relustat::cuda {

// Raises an error if a switch is not a cell of the input. It waits for the device, so it must not
// run while a graph is captured.
void check_switches(const std::string& op, const at::Tensor& offsets, const PooledPlanes& pooled);

}  // namespace relustat::cuda
