#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/SmallVector.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "pool/window.h"

// The pooling ops, called through the dispatcher.

namespace relustat {

using SymSizes = c10::SymIntArrayRef;

constexpr auto kSum = static_cast<int64_t>(Overlap::kSum);

// A pooling as in the arguments of the ops, kept for backward.
struct PoolingArguments {
  using Numbers = c10::SmallVector<int64_t, 3>;

  Numbers kernel_size;
  Numbers stride;
  Numbers padding;
  Numbers dilation;
  bool ceil_mode;

  // Inlined, GCC 12 takes it for uninitialised.
  [[gnu::noinline]] PoolingArguments(at::IntArrayRef kernel_size, at::IntArrayRef stride,
                                     at::IntArrayRef padding, at::IntArrayRef dilation,
                                     bool ceil_mode)
      : kernel_size(kernel_size.begin(), kernel_size.end()),
        stride(stride.begin(), stride.end()),
        padding(padding.begin(), padding.end()),
        dilation(dilation.begin(), dilation.end()),
        ceil_mode(ceil_mode) {}

  void save(torch::autograd::AutogradContext* context) const {
    std::vector<int64_t> numbers{ceil_mode ? 1 : 0};
    for (const Numbers* each : {&kernel_size, &stride, &padding, &dilation}) {
      numbers.insert(numbers.end(), each->begin(), each->end());
    }
    context->saved_data["pooling"] = std::move(numbers);
  }

  static PoolingArguments saved(torch::autograd::AutogradContext* context) {
    const auto numbers = context->saved_data.at("pooling").toIntVector();
    const size_t axes = numbers.size() / 4;
    const auto part = [&](size_t i) { return at::IntArrayRef(&numbers[1 + i * axes], axes); };
    return {part(0), part(1), part(2), part(3), numbers[0] != 0};
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

inline std::tuple<at::Tensor, at::Tensor> relu_max_pool(
    const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges, int64_t unit_dim,
    int64_t binning, const std::optional<at::Tensor>& mask, const std::optional<at::Tensor>& blocks,
    const PoolingArguments& pooling) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("relustat::relu_max_pool", "")
          .typed<std::tuple<at::Tensor, at::Tensor>(
              const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, int64_t,
              const std::optional<at::Tensor>&, const std::optional<at::Tensor>&, at::IntArrayRef,
              at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, bool)>();
  return op.call(x, counters, edges, unit_dim, binning, mask, blocks, pooling.kernel_size,
                 pooling.stride, pooling.padding, pooling.dilation, pooling.ceil_mode);
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
