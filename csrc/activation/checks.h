#pragma once

#include <ATen/core/Tensor.h>

// The rules that every backend of activation_hash holds its argument to. reference.py states the
// same rules in the same words.

namespace relustat {

inline void check_activation_hash(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() > 0, "activation_hash: x must be [samples, ...], got a 0-D tensor");
  TORCH_CHECK_TYPE(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble ||
                       x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf,
                   "activation_hash: x must be float32, float64, bfloat16 or float16, got ",
                   x.scalar_type());
}

}  // namespace relustat
