#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <optional>

#include "common/with_format.h"
#include "cuda/pool/max_unpool_launch.h"
#include "cuda/pool/pooling_call_of.h"
#include "cuda/pool/validate_switches.h"
#include "pool/tensors.h"

namespace relustat::cuda {
namespace {

at::Tensor max_unpool(const at::Tensor& y, const at::Tensor& offsets, at::IntArrayRef input_size,
                      at::IntArrayRef kernel_size, at::IntArrayRef stride, at::IntArrayRef padding,
                      at::IntArrayRef dilation, bool ceil_mode, int64_t overlap, bool validate) {
  const MaxUnpoolTensors tensors = prepare_max_unpool(
      y, offsets, input_size, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  if (y.numel() == 0) return tensors.empty_x();
  const c10::cuda::CUDAGuard guard(y.device());
  if (validate) check_switches(tensors.op, tensors.offsets, tensors.pooled);
  const at::Tensor x = tensors.empty_x();
  const MaxUnpoolCall call{pooling_call_of(tensors.pooled, y, offsets), tensors.y.const_data_ptr(),
                           tensors.offsets.const_data_ptr(), x.mutable_data_ptr(),
                           static_cast<Overlap>(overlap)};
  with_format(call.dtype, [&]<class Format>() { launch_max_unpool<Format>(call); });
  return x;
}

// Switches are not validated again. Wrong switches have no gradient.
at::Tensor max_unpool_backward(const at::Tensor& gradient, const std::optional<at::Tensor>& y,
                               const at::Tensor& offsets, at::IntArrayRef kernel_size,
                               at::IntArrayRef stride, at::IntArrayRef padding,
                               at::IntArrayRef dilation, bool ceil_mode, int64_t overlap) {
  const MaxUnpoolBackwardTensors tensors = prepare_max_unpool_backward(
      gradient, y, offsets, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  if (offsets.numel() == 0) return tensors.y_gradient;
  const c10::cuda::CUDAGuard guard(gradient.device());
  const MaxUnpoolBackwardCall call{pooling_call_of(tensors.pooled, gradient, offsets),
                                   tensors.gradient.const_data_ptr(),
                                   tensors.y.defined() ? tensors.y.const_data_ptr() : nullptr,
                                   tensors.offsets.const_data_ptr(),
                                   tensors.y_gradient.mutable_data_ptr(),
                                   static_cast<Overlap>(overlap)};
  with_format(call.dtype, [&]<class Format>() { launch_max_unpool_backward<Format>(call); });
  return tensors.y_gradient;
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) {
  m.impl("max_unpool", max_unpool);
  m.impl("max_unpool_backward", max_unpool_backward);
}

}  // namespace relustat::cuda
