#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/variable.h>

#include <utility>

namespace relustat {

inline bool needs_gradient(const at::Tensor& x) {
  return c10::GradMode::is_enabled() && x.requires_grad();
}

// Forward-mode AD needs a derivative of the op, which a torch::autograd::Function does not have.
inline bool has_tangent(const at::Tensor& x) { return x._fw_grad(/*level=*/0).defined(); }

inline const at::Tensor& with_tangent(const at::Tensor& x, const at::Tensor& tangent) {
  x._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
  return x;
}

// Lives while the forward of a torch::autograd::Function writes over its input. Gradients are off
// in a forward. The compiler leaves out of the gradient what is changed while they are off.
class WritesOverInput {
  const c10::AutoGradMode enabled_{true};
};

// Before an in-place op writes or counts. PyTorch's own ops write first.
inline void check_can_change(const at::Tensor& x) {
  TORCH_CHECK(
      !x.is_inference() || c10::InferenceMode::is_enabled(),
      "Inplace update to inference tensor outside InferenceMode is not allowed. You can make "
      "a clone to get a normal tensor before doing inplace update.");
}

// The gradients of all arguments, of which only the first one has any.
inline torch::autograd::variable_list gradients(at::Tensor first, size_t others) {
  torch::autograd::variable_list all{std::move(first)};
  all.resize(1 + others);
  return all;
}

}  // namespace relustat
