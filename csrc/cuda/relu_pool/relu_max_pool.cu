#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "common/dtype_of.h"
#include "common/with_format.h"
#include "cuda/pool/max_pool_call_of.h"
#include "cuda/relu/call_on_tensors.h"
#include "cuda/relu_pool/relu_pool_launch.h"
#include "relu_pool/tensors.h"

namespace relustat::cuda {
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
  const c10::cuda::CUDAGuard guard(x.device());
  const MaxPoolCall pool = max_pool_call_of(tensors, /*rectifies=*/true);
  bool is_pooled = false;
  if (!is_recomputation()) {
    const CallOnTensors relu(tensors.x, counters, edges, unit_dim, mask, blocks, layout);
    with_format(pool.dtype, [&]<class Format>() {
      is_pooled =
          launch_relu_pool<Format>(static_cast<Binning>(binning),
                                   dense_unit_layout(tensors.x, unit_dim), relu.kernel_call, pool);
    });
  }
  if (!is_pooled) launch_max_pool(pool);
  return {tensors.y, tensors.offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) { m.impl("relu_max_pool", relu_max_pool); }

}  // namespace relustat::cuda
