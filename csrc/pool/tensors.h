#pragma once

#include <ATen/ops/empty.h>

#include <optional>
#include <string>
#include <vector>

#include "pool/checks.h"

// The first step of the pooling ops, for every backend: checks arguments, makes tensors dense in
// one format, and allocates outputs.

namespace relustat {
inline namespace RELUSTAT_ISA {

struct PooledPlanes {
  PoolingNumbers numbers;
  at::MemoryFormat format;
  int64_t planes;    // [batch, channels], or the batch alone if channels are last
  int64_t channels;  // side by side at each position: 1 in contiguous planes

  // `x`: a tensor whose last dimensions are pooled, or were.
  PooledPlanes(const PoolingNumbers& numbers, const at::Tensor& x, int64_t axes)
      : PooledPlanes(numbers, x, axes, pooling_format(x, axes)) {}
  PooledPlanes(const PoolingNumbers& numbers, const at::Tensor& x, int64_t axes,
               at::MemoryFormat format)
      : numbers(numbers), format(format), planes(1), channels(1) {
    for (int64_t dim = 0; dim < x.dim() - axes; ++dim) planes *= x.size(dim);
    if (format != at::MemoryFormat::Contiguous && x.size(1) > 1) {
      channels = x.size(1);
      planes = x.size(0);
    }
  }
  at::Tensor empty(at::IntArrayRef sizes, const at::TensorOptions& options) const {
    return at::empty(sizes, options.memory_format(format));
  }
};

struct MaxPoolTensors {
  PooledPlanes pooled;
  at::Tensor x;
  at::Tensor y;
  at::Tensor offsets;
};

// format: of the tensors.
inline MaxPoolTensors prepare_max_pool(const char* name, const at::Tensor& x,
                                       const PoolingOptions& options, at::MemoryFormat format) {
  const int64_t axes = options.axes();
  const std::string op = op_name(name, axes);
  check_pooled(op, x, axes);
  const PoolingNumbers numbers = check_pooling(op, options, x.sizes().slice(x.dim() - axes));
  const PooledPlanes pooled(numbers, x, axes, format);
  const std::vector<int64_t> sizes = resized(x, windows_of(numbers, axes));
  return {pooled, x.contiguous(pooled.format), pooled.empty(sizes, x.options()),
          pooled.empty(sizes, x.options().dtype(offsets_dtype(numbers)))};
}

struct MaxUnpoolTensors {
  std::string op;
  PooledPlanes pooled;
  at::Tensor y;
  at::Tensor offsets;
  std::vector<int64_t> sizes;  // of x

  at::Tensor empty_x() const { return pooled.empty(sizes, y.options()); }
};

inline MaxUnpoolTensors prepare_max_unpool(const at::Tensor& y, const at::Tensor& offsets,
                                           at::IntArrayRef input_size,
                                           const PoolingOptions& options, int64_t overlap) {
  const int64_t axes = options.axes();
  const std::string op = op_name("max_unpool", axes);
  const PoolingNumbers numbers = check_pooling(op, options, input_size);
  check_unpooled(op, y, offsets, numbers, axes, overlap);
  const PooledPlanes pooled(numbers, y, axes);
  return {op, pooled, y.contiguous(pooled.format), offsets.contiguous(pooled.format),
          resized(y, input_size)};
}

struct MaxUnpoolBackwardTensors {
  std::string op;
  PooledPlanes pooled;
  at::Tensor gradient;
  at::Tensor y;  // undefined if the overlap does not need it
  at::Tensor offsets;
  at::Tensor y_gradient;
};

inline MaxUnpoolBackwardTensors prepare_max_unpool_backward(const at::Tensor& gradient,
                                                            const std::optional<at::Tensor>& y,
                                                            const at::Tensor& offsets,
                                                            const PoolingOptions& options,
                                                            int64_t overlap) {
  const int64_t axes = options.axes();
  const std::string op = op_name("max_unpool", axes) + "'s backward";
  check_pooled(op, gradient, axes);
  const PoolingNumbers numbers =
      check_pooling(op, options, gradient.sizes().slice(gradient.dim() - axes));
  const PooledPlanes pooled(numbers, gradient, axes);
  at::Tensor y_gradient =
      pooled.empty(resized(gradient, windows_of(numbers, axes)), gradient.options());
  check_unpooled(op, y_gradient, offsets, numbers, axes, overlap);
  const bool needs_y = static_cast<Overlap>(overlap) == Overlap::kMax;
  TORCH_CHECK_VALUE(
      !needs_y || (y && y->sizes() == offsets.sizes() &&
                   y->scalar_type() == gradient.scalar_type() && y->device() == gradient.device()),
      op, ": overlap=2 (max) needs y, of the gradient's dtype and device");
  return {op,
          pooled,
          gradient.contiguous(pooled.format),
          needs_y ? y->contiguous(pooled.format) : at::Tensor(),
          offsets.contiguous(pooled.format),
          y_gradient};
}

inline bool has_wide_offsets(const at::Tensor& offsets) {
  return offsets.scalar_type() == at::kShort;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
