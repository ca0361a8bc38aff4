#include <ATen/ops/le.h>
#include <ATen/ops/masked_fill.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "autograd/differentiation.h"
#include "autograd/pooling_ops.h"

// The gradient of a window goes to its maximum if that is above 0, or NaN. So the rectified map is
// not needed: the switches say where, and a byte for each window whether. (The output would say so,
// too, but a layer behind may write over it, as it may over a pool's.)

namespace relustat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<Tensor>;

// Of relu_max_pool, but x.
constexpr size_t kOtherArguments = 7;

class ReluMaxPool : public torch::autograd::Function<ReluMaxPool> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& counters,
                               const Tensor& edges, int64_t unit_dim, int64_t binning,
                               const Optional& mask, const Optional& blocks,
                               const PoolingArguments& pooling) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    auto [y, offsets] = relu_max_pool(x, counters, edges, unit_dim, binning, mask, blocks, pooling);
    context->mark_non_differentiable({offsets});
    context->save_for_backward({offsets, y.le(0)});
    pooling.save(context);
    context->saved_data["input_size"] = pooled_sizes(x, pooling);
    return {y, offsets};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto pooling = PoolingArguments::saved(context);
    const auto input_size = context->saved_data["input_size"].toSymIntVector();
    const variable_list saved = context->get_saved_variables();
    const Tensor& offsets = saved[0];
    const Tensor& are_zero = saved[1];
    return gradients(max_unpool(grads[0].masked_fill(are_zero, 0), offsets, input_size, pooling,
                                kSum, /*validate=*/false),
                     kOtherArguments);
  }
};

std::tuple<Tensor, Tensor> relu_max_pool_autograd(
    const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim, int64_t binning,
    const Optional& mask, const Optional& blocks, at::IntArrayRef kernel_size,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  const PoolingArguments pooling(kernel_size, stride, padding, dilation, ceil_mode);
  if (has_tangent(x)) {
    const auto [y, offsets] =
        relu_max_pool(x._fw_primal(0), counters, edges, unit_dim, binning, mask, blocks, pooling);
    const Tensor tangent = max_unpool_backward(x._fw_grad(0), std::nullopt, offsets, pooling, kSum);
    return {with_tangent(y, tangent.masked_fill(y.le(0), 0)), offsets};
  }
  if (needs_gradient(x)) {
    const variable_list outputs =
        ReluMaxPool::apply(x, counters, edges, unit_dim, binning, mask, blocks, pooling);
    return {outputs[0], outputs[1]};
  }
  const at::AutoDispatchBelowADInplaceOrView guard;
  return relu_max_pool(x, counters, edges, unit_dim, binning, mask, blocks, pooling);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Autograd, m) { m.impl("relu_max_pool", relu_max_pool_autograd); }

}  // namespace relustat
