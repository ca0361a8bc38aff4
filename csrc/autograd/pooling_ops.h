#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

// The pooling ops, called through the dispatcher.

namespace relustat {

using SymSizes = c10::SymIntArrayRef;

// A pooling as in the arguments of the ops, kept for backward.
struct PoolingArguments {
  std::vector<int64_t> kernel_size;
  std::vector<int64_t> stride;
  std::vector<int64_t> padding;
  std::vector<int64_t> dilation;
  bool ceil_mode;

  PoolingArguments(at::IntArrayRef kernel_size, at::IntArrayRef stride, at::IntArrayRef padding,
                   at::IntArrayRef dilation, bool ceil_mode)
      : kernel_size(kernel_size.vec()),
        stride(stride.vec()),
        padding(padding.vec()),
        dilation(dilation.vec()),
        ceil_mode(ceil_mode) {}

  void save(torch::autograd::AutogradContext* context) const {
    context->saved_data["kernel_size"] = kernel_size;
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    context->saved_data["dilation"] = dilation;
    context->saved_data["ceil_mode"] = ceil_mode;
  }

  static PoolingArguments saved(torch::autograd::AutogradContext* context) {
    const auto& data = context->saved_data;
    return {data.at("kernel_size").toIntVector(), data.at("stride").toIntVector(),
            data.at("padding").toIntVector(), data.at("dilation").toIntVector(),
            data.at("ceil_mode").toBool()};
  }
};

// The sizes of the axes that are pooled.
inline std::vector<c10::SymInt> pooled_sizes(const at::Tensor& x, const PoolingArguments& pooling) {
  const SymSizes sizes = x.sym_sizes();
  const size_t axes = std::min(pooling.kernel_size.size(), sizes.size());
  return sizes.slice(sizes.size() - axes).vec();
}

inline std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x,
                                                   const PoolingArguments& pooling) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::max_pool", "")
                             .typed<std::tuple<at::Tensor, at::Tensor>(
                                 const at::Tensor&, at::IntArrayRef, at::IntArrayRef,
                                 at::IntArrayRef, at::IntArrayRef, bool)>();
  return op.call(x, pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation,
                 pooling.ceil_mode);
}

inline at::Tensor max_unpool(const at::Tensor& y, const at::Tensor& offsets, SymSizes input_size,
                             const PoolingArguments& pooling, int64_t overlap, bool validate) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::max_unpool", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, SymSizes,
                                               at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                               at::IntArrayRef, bool, int64_t, bool)>();
  return op.call(y, offsets, input_size, pooling.kernel_size, pooling.stride, pooling.padding,
                 pooling.dilation, pooling.ceil_mode, overlap, validate);
}

inline at::Tensor max_unpool_backward(const at::Tensor& gradient,
                                      const std::optional<at::Tensor>& y, const at::Tensor& offsets,
                                      const PoolingArguments& pooling, int64_t overlap) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::max_unpool_backward", "")
                             .typed<at::Tensor(const at::Tensor&, const std::optional<at::Tensor>&,
                                               const at::Tensor&, at::IntArrayRef, at::IntArrayRef,
                                               at::IntArrayRef, at::IntArrayRef, bool, int64_t)>();
  return op.call(gradient, y, offsets, pooling.kernel_size, pooling.stride, pooling.padding,
                 pooling.dilation, pooling.ceil_mode, overlap);
}

}  // namespace relustat
