#pragma once

#include <ATen/core/Tensor.h>

// The checks of the argument of activation_hash, for every backend.
// relustat/ops/reference/checks.py has the same checks in the same words; a test compares them.

namespace relustat {

inline void check_activation_hash(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() > 0, "activation_hash: x must be [samples, ...], got a 0-D tensor");
  TORCH_CHECK_TYPE(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble ||
                       x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf,
                   "activation_hash: x must be float32, float64, bfloat16 or float16, got ",
                   x.scalar_type());
}

}  // namespace relustat
