#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <optional>

#include "../dtype_of.h"
#include "../pooling_tensors.h"
#include "launch.h"
#include "max_unpool.cuh"
#include "max_unpool_backward.cuh"
#include "switches.h"

namespace relustat::cuda {
namespace {

at::Tensor max_unpool(const at::Tensor& y, const at::Tensor& offsets, at::IntArrayRef input_size,
                      at::IntArrayRef kernel_size, at::IntArrayRef stride, at::IntArrayRef padding,
                      at::IntArrayRef dilation, bool ceil_mode, int64_t overlap, bool validate) {
  const c10::cuda::CUDAGuard guard(y.device());
  const MaxUnpoolTensors tensors = prepare_max_unpool(
      y, offsets, input_size, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  if (y.numel() == 0) return tensors.empty_x();
  if (validate) check_switches(tensors.op, tensors.offsets, tensors.pooled);
  const at::Tensor x = tensors.empty_x();
  MaxUnpoolCall call{};
  call.y = tensors.y.const_data_ptr();
  call.offsets = tensors.offsets.const_data_ptr();
  call.x = x.mutable_data_ptr();
  call.dtype = dtype_of(y);
  call.wide_offsets = has_wide_offsets(offsets);
  call.overlap = static_cast<Overlap>(overlap);
  call.pooling = tensors.pooled.numbers;
  call.planes = tensors.pooled.planes;
  call.channels = tensors.pooled.channels;
  with_max_unpool_kernel(call, launch_for_each_place);
  return x;
}

// Switches are not validated again: wrong ones have no gradient.
at::Tensor max_unpool_backward(const at::Tensor& gradient, const std::optional<at::Tensor>& y,
                               const at::Tensor& offsets, at::IntArrayRef kernel_size,
                               at::IntArrayRef stride, at::IntArrayRef padding,
                               at::IntArrayRef dilation, bool ceil_mode, int64_t overlap) {
  const c10::cuda::CUDAGuard guard(gradient.device());
  const MaxUnpoolBackwardTensors tensors = prepare_max_unpool_backward(
      gradient, y, offsets, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  if (offsets.numel() == 0) return tensors.y_gradient;
  MaxUnpoolBackwardCall call{};
  call.gradient = tensors.gradient.const_data_ptr();
  call.y = tensors.y.defined() ? tensors.y.const_data_ptr() : nullptr;
  call.offsets = tensors.offsets.const_data_ptr();
  call.y_gradient = tensors.y_gradient.mutable_data_ptr();
  call.dtype = dtype_of(gradient);
  call.wide_offsets = has_wide_offsets(offsets);
  call.overlap = static_cast<Overlap>(overlap);
  call.pooling = tensors.pooled.numbers;
  call.planes = tensors.pooled.planes;
  call.channels = tensors.pooled.channels_or_one();
  with_max_unpool_backward_kernel(call, launch_for_each_place);
  return tensors.y_gradient;
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) {
  m.impl("max_unpool", max_unpool);
  m.impl("max_unpool_backward", max_unpool_backward);
}

}  // namespace relustat::cuda
