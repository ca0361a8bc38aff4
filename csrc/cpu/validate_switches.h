#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "cpu/kernels/pool/tap_positions.h"
#include "pool/window.h"

namespace relustat::cpu {

std::vector<TapPosition> tap_positions(const PoolingNumbers& pooling);

// Raises an error unless every switch is a cell of the input. `offsets` is dense. channels: number
// of channels of a pixel, or 1 if planes are contiguous.
void check_switches(const std::string& op, const at::Tensor& offsets, const PoolingNumbers& pooling,
                    int64_t channels, const std::vector<TapPosition>& positions);

}  // namespace relustat::cpu
