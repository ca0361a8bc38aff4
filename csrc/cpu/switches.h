#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "../window.h"
#include "kernels/tap_places.h"

namespace relustat::cpu {

std::vector<TapPlace> tap_places(const PoolingNumbers& pooling);

// Raises unless every switch stands for a cell of the input. `offsets` is dense; channels: of each
// of its pixels, or 1 where its planes are contiguous.
void check_switches(const std::string& op, const at::Tensor& offsets, const PoolingNumbers& pooling,
                    int64_t channels, const std::vector<TapPlace>& places);

}  // namespace relustat::cpu
