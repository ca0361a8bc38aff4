#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "cpu/counted_calls.h"
#include "cpu/max_pool.h"
#include "relu_pool/tensors.h"

namespace relustat::cpu {
namespace {

using Optional = std::optional<at::Tensor>;

std::tuple<at::Tensor, at::Tensor> relu_max_pool(
    const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges, int64_t unit_dim,
    int64_t binning, const Optional& mask, const Optional& blocks, at::IntArrayRef kernel_size,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  const CounterLayout layout =
      check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks);
  const MaxPoolTensors tensors =
      prepare_max_pool("relu_max_pool", x, {kernel_size, stride, padding, dilation, ceil_mode},
                       pooling_format_of_relu(x, static_cast<int64_t>(kernel_size.size())));
  if (tensors.y.numel() == 0) return {tensors.y, tensors.offsets};
  const CountingArguments arguments{counters, edges, unit_dim, binning, mask, blocks};
  const MaxPoolShare outputs = max_pool_outputs(tensors);
  const PooledTensor pooled{outputs, tensors.pooled.planes, x.element_size()};
  const bool streams = can_stream(pooled);
  const bool counts = takes_turn(x, arguments);
  if (streams && !counts) {
    rectify_and_pool(tensors.x, pooled);
  } else if (streams && counts_in_order(tensors.x, arguments, layout)) {
    rectify_and_count(tensors.x, nullptr, &pooled, arguments, layout);
  } else if (!counts) {
    pool_windows(at::relu(tensors.x), outputs);
  } else {
    const at::Tensor rectified = at::empty_like(tensors.x);
    rectify_and_count(tensors.x, rectified.mutable_data_ptr(), nullptr, arguments, layout);
    pool_windows(rectified, outputs);
  }
  return {tensors.y, tensors.offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) { m.impl("relu_max_pool", relu_max_pool); }

}  // namespace relustat::cpu
