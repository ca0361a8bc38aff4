#include <ATen/ops/eq.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/ones.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "autograd/differentiation.h"
#include "autograd/pooling_ops.h"
#include "pool/window.h"

// Given the switches, pooling and unpooling are linear, and each is the adjoint of the other. So
// gradients of any order consist of the same ops. Only the switches are saved, and for overlap
// "max" the values that decide.

namespace relustat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kMax = static_cast<int64_t>(Overlap::kMax);

std::optional<Tensor> if_defined(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
}

// Values that were chosen before do not share a cell.
int64_t sum_if_max(int64_t overlap) { return overlap == kMax ? kSum : overlap; }

// y, but 0 where overlap "max" chose another value for the cell.
Tensor chosen(const Tensor& y, const Tensor& values, const Tensor& offsets, SymSizes input_size,
              const PoolingArguments& pooling) {
  auto sizes = y.sym_sizes().vec();
  std::copy(input_size.begin(), input_size.end(), sizes.end() - input_size.size());
  const Tensor ones = at::ones_symint(sizes, y.options());
  const Tensor is_chosen = max_unpool_backward(ones, values, offsets, pooling, kMax);
  return y.masked_fill(is_chosen.eq(0), 0);
}

class MaxPool : public torch::autograd::Function<MaxPool> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x,
                               const PoolingArguments& pooling) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    auto [y, offsets] = max_pool(x, pooling);
    context->mark_non_differentiable({offsets});
    context->save_for_backward({offsets});
    pooling.save(context);
    context->saved_data["input_size"] = pooled_sizes(x, pooling);
    return {y, offsets};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto pooling = PoolingArguments::saved(context);
    const auto input_size = context->saved_data["input_size"].toSymIntVector();
    const Tensor offsets = context->get_saved_variables()[0];
    return gradients(max_unpool(grads[0], offsets, input_size, pooling, kSum, /*validate=*/false),
                     1);
  }
};

class MaxUnpool : public torch::autograd::Function<MaxUnpool> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& y, const Tensor& offsets,
                        const std::vector<c10::SymInt>& input_size, const PoolingArguments& pooling,
                        int64_t overlap, bool validate) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    context->save_for_backward({overlap == kMax ? y : Tensor(), offsets});
    pooling.save(context);
    context->saved_data["overlap"] = overlap;
    return max_unpool(y, offsets, input_size, pooling, overlap, validate);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    return gradients(max_unpool_backward(grads[0], if_defined(saved[0]), saved[1],
                                         PoolingArguments::saved(context),
                                         context->saved_data["overlap"].toInt()),
                     5);
  }
};

class MaxUnpoolBackward : public torch::autograd::Function<MaxUnpoolBackward> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& gradient,
                        const std::optional<Tensor>& y, const Tensor& offsets,
                        const PoolingArguments& pooling, int64_t overlap) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    Tensor y_gradient = max_unpool_backward(gradient, y, offsets, pooling, overlap);
    context->save_for_backward({overlap == kMax ? *y : Tensor(), offsets});
    pooling.save(context);
    context->saved_data["overlap"] = overlap;
    context->saved_data["input_size"] = pooled_sizes(gradient, pooling);
    return y_gradient;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto pooling = PoolingArguments::saved(context);
    const auto input_size = context->saved_data["input_size"].toSymIntVector();
    const int64_t overlap = context->saved_data["overlap"].toInt();
    const auto saved = context->get_saved_variables();
    const Tensor y =
        overlap == kMax ? chosen(grads[0], saved[0], saved[1], input_size, pooling) : grads[0];
    return gradients(max_unpool(y, saved[1], input_size, pooling, sum_if_max(overlap),
                                /*validate=*/false),
                     4);
  }
};

std::tuple<Tensor, Tensor> max_pool_autograd(const Tensor& x, at::IntArrayRef kernel_size,
                                             at::IntArrayRef stride, at::IntArrayRef padding,
                                             at::IntArrayRef dilation, bool ceil_mode) {
  const PoolingArguments pooling(kernel_size, stride, padding, dilation, ceil_mode);
  if (has_tangent(x)) {
    const auto [y, offsets] = max_pool(x._fw_primal(0), pooling);
    const Tensor tangent = max_unpool_backward(x._fw_grad(0), std::nullopt, offsets, pooling, kSum);
    return {with_tangent(y, tangent), offsets};
  }
  if (needs_gradient(x)) {
    const variable_list outputs = MaxPool::apply(x, pooling);
    return {outputs[0], outputs[1]};
  }
  const at::AutoDispatchBelowADInplaceOrView guard;
  return max_pool(x, pooling);
}

Tensor max_unpool_autograd(const Tensor& y, const Tensor& offsets, c10::SymIntArrayRef input_size,
                           at::IntArrayRef kernel_size, at::IntArrayRef stride,
                           at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode,
                           int64_t overlap, bool validate) {
  const PoolingArguments pooling(kernel_size, stride, padding, dilation, ceil_mode);
  if (has_tangent(y)) {
    const Tensor values = y._fw_primal(0);
    const Tensor x = max_unpool(values, offsets, input_size, pooling, overlap, validate);
    const Tensor tangent = overlap == kMax
                               ? chosen(y._fw_grad(0), values, offsets, input_size, pooling)
                               : y._fw_grad(0);
    return with_tangent(x, max_unpool(tangent, offsets, input_size, pooling, sum_if_max(overlap),
                                      /*validate=*/false));
  }
  if (needs_gradient(y)) {
    return MaxUnpool::apply(y, offsets, input_size.vec(), pooling, overlap, validate);
  }
  const at::AutoDispatchBelowADInplaceOrView guard;
  return max_unpool(y, offsets, input_size, pooling, overlap, validate);
}

Tensor max_unpool_backward_autograd(const Tensor& gradient, const std::optional<Tensor>& y,
                                    const Tensor& offsets, at::IntArrayRef kernel_size,
                                    at::IntArrayRef stride, at::IntArrayRef padding,
                                    at::IntArrayRef dilation, bool ceil_mode, int64_t overlap) {
  const PoolingArguments pooling(kernel_size, stride, padding, dilation, ceil_mode);
  if (has_tangent(gradient)) {
    const Tensor y_gradient =
        max_unpool_backward(gradient._fw_primal(0), y, offsets, pooling, overlap);
    return with_tangent(y_gradient,
                        max_unpool_backward(gradient._fw_grad(0), y, offsets, pooling, overlap));
  }
  if (needs_gradient(gradient)) {
    return MaxUnpoolBackward::apply(gradient, y, offsets, pooling, overlap);
  }
  const at::AutoDispatchBelowADInplaceOrView guard;
  return max_unpool_backward(gradient, y, offsets, pooling, overlap);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Autograd, m) {
  m.impl("max_pool", max_pool_autograd);
  m.impl("max_unpool", max_unpool_autograd);
  m.impl("max_unpool_backward", max_unpool_backward_autograd);
}

}  // namespace relustat
