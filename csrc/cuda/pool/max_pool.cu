#include "cuda/pool/max_pool.cuh"

#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/common/launch.h"
#include "cuda/pool/max_pool_call_of.h"

namespace relustat::cuda {

void launch_max_pool(const MaxPoolCall& call) {
  with_max_pool_kernel(call, launch_for_each_position);
}

namespace {

std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x, at::IntArrayRef kernel_size,
                                            at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool ceil_mode) {
  const MaxPoolTensors tensors =
      prepare_max_pool("max_pool", x, {kernel_size, stride, padding, dilation, ceil_mode},
                       pooling_format(x, static_cast<int64_t>(kernel_size.size())));
  if (tensors.y.numel() == 0) return {tensors.y, tensors.offsets};
  const c10::cuda::CUDAGuard guard(x.device());
  launch_max_pool(max_pool_call_of(tensors, /*rectifies=*/false));
  return {tensors.y, tensors.offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) { m.impl("max_pool", max_pool); }

}  // namespace relustat::cuda
