#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/common/launch.h"
#include "cuda/pool/max_pool.cuh"
#include "cuda/pool/pooling_call_of.h"
#include "pool/tensors.h"

namespace relustat::cuda {
namespace {

std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x, at::IntArrayRef kernel_size,
                                            at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool ceil_mode) {
  const MaxPoolTensors tensors =
      prepare_max_pool("max_pool", x, {kernel_size, stride, padding, dilation, ceil_mode},
                       pooling_format(x, static_cast<int64_t>(kernel_size.size())));
  const auto& [pooled, dense, y, offsets] = tensors;
  if (y.numel() == 0) return {y, offsets};
  const c10::cuda::CUDAGuard guard(x.device());
  const MaxPoolCall call{pooling_call_of(pooled, x, offsets), dense.const_data_ptr(),
                         y.mutable_data_ptr(), offsets.mutable_data_ptr()};
  with_max_pool_kernel(call, launch_for_each_position);
  return {y, offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) { m.impl("max_pool", max_pool); }

}  // namespace relustat::cuda
