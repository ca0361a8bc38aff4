#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "../dtype_of.h"
#include "../pooling_tensors.h"
#include "launch.h"
#include "max_pool.cuh"

namespace relustat::cuda {
namespace {

std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x, at::IntArrayRef kernel_size,
                                            at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool ceil_mode) {
  const c10::cuda::CUDAGuard guard(x.device());
  const MaxPoolTensors tensors =
      prepare_max_pool(x, {kernel_size, stride, padding, dilation, ceil_mode});
  const auto& [pooled, dense, y, offsets] = tensors;
  if (y.numel() == 0) return {y, offsets};
  MaxPoolCall call{};
  call.x = dense.const_data_ptr();
  call.y = y.mutable_data_ptr();
  call.offsets = offsets.mutable_data_ptr();
  call.dtype = dtype_of(x);
  call.wide_offsets = has_wide_offsets(offsets);
  call.pooling = pooled.numbers;
  call.planes = pooled.planes;
  call.channels = pooled.channels;
  with_max_pool_kernel(call, launch_for_each_place);
  return {y, offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) { m.impl("max_pool", max_pool); }

}  // namespace relustat::cuda
