#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

namespace relustat {

inline bool needs_gradient(const at::Tensor& x) {
  return c10::GradMode::is_enabled() && x.requires_grad();
}

// Forward-mode AD needs a derivative of the op, which a torch::autograd::Function does not have.
inline bool has_tangent(const at::Tensor& x) { return x._fw_grad(/*level=*/0).defined(); }

}  // namespace relustat
