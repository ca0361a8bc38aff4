#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "cpu/kernels/pool/tap_positions.h"
#include "pool/window.h"

namespace relustat::cpu {

std::vector<TapPosition> tap_positions(const PoolingNumbers& pooling);

// Raises unless every switch stands for a cell of the input. `offsets` is dense; channels: of each
// of its pixels, or 1 where its planes are contiguous.
void check_switches(const std::string& op, const at::Tensor& offsets, const PoolingNumbers& pooling,
                    int64_t channels, const std::vector<TapPosition>& positions);

}  // namespace relustat::cpu
