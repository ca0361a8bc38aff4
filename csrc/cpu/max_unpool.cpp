#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <memory>
#include <optional>
#include <vector>

#include "../dtype_of.h"
#include "../pooling_checks.h"
#include "denormals.h"
#include "dispatch.h"
#include "grain.h"
#include "huge_pages.h"
#include "kernels/unpool_plan.h"
#include "switches.h"

namespace relustat::cpu {
namespace {

constexpr uintptr_t kAlignment = 64;

void* aligned(char* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  return memory + (kAlignment - address % kAlignment) % kAlignment;
}

at::Tensor max_unpool(const at::Tensor& y, const at::Tensor& offsets, at::IntArrayRef input_size,
                      at::IntArrayRef kernel_size, at::IntArrayRef stride, at::IntArrayRef padding,
                      at::IntArrayRef dilation, bool ceil_mode, int64_t overlap, bool validate) {
  const PoolingOptions options{kernel_size, stride, padding, dilation, ceil_mode};
  const int64_t axes = options.axes();
  const std::string op = op_name("max_unpool", axes);
  const PoolingNumbers numbers = check_pooling(op, options, input_size);
  check_unpooled(op, y, offsets, numbers, axes, overlap);
  const Pooling pooling(numbers);

  const at::MemoryFormat format = pooling_format(y, axes);
  const at::Tensor dense_y = y.contiguous(format);
  const at::Tensor dense_offsets = offsets.contiguous(format);
  const std::vector<int64_t> sizes = resized(y, input_size);
  if (y.numel() == 0) return at::empty(sizes, y.options().memory_format(format));
  const bool is_channels_last = format != at::MemoryFormat::Contiguous;
  const int64_t channels = is_channels_last ? y.size(1) : 1;
  if (validate) check_switches(op, dense_offsets, numbers, channels, tap_places(numbers));
  at::Tensor x = at::empty(sizes, y.options().memory_format(format));
  prefer_huge_pages(x);

  MaxUnpoolShare whole{};
  whole.y = dense_y.const_data_ptr();
  whole.offsets = dense_offsets.const_data_ptr();
  whole.x = x.mutable_data_ptr();
  whole.dtype = dtype_of(y);
  whole.wide_offsets = offsets.scalar_type() == at::kShort;
  whole.overlap = static_cast<Overlap>(overlap);
  whole.pooling = numbers;
  whole.channels = is_channels_last ? channels : 0;
  const int64_t part = is_channels_last ? channels : pooling.w.input;
  const int64_t scratch_bytes =
      is_channels_last ? PixelPlan(pooling).bytes : UnpoolPlan(pooling, y.element_size()).bytes;
  at::parallel_for(0, x.numel() / part, grain_of(part), [&](int64_t begin, int64_t end) {
    const auto scratch = std::make_unique_for_overwrite<char[]>(scratch_bytes + kAlignment);
    MaxUnpoolShare share = whole;
    share.begin = begin;
    share.end = end;
    share.scratch = aligned(scratch.get());
    const KeepDenormals keep_denormals;
    kernels().max_unpool(share);
  });
  return x;
}

at::Tensor max_unpool_backward(const at::Tensor& gradient, const std::optional<at::Tensor>& y,
                               const at::Tensor& offsets, at::IntArrayRef kernel_size,
                               at::IntArrayRef stride, at::IntArrayRef padding,
                               at::IntArrayRef dilation, bool ceil_mode, int64_t overlap) {
  const PoolingOptions options{kernel_size, stride, padding, dilation, ceil_mode};
  const int64_t axes = options.axes();
  const std::string op = op_name("max_unpool", axes) + "'s backward";
  check_pooled(op, gradient, axes);
  const auto input_size = gradient.sizes().slice(gradient.dim() - axes);
  const PoolingNumbers numbers = check_pooling(op, options, input_size);
  const Pooling pooling(numbers);
  const at::MemoryFormat format = pooling_format(gradient, axes);
  at::Tensor y_gradient = at::empty(resized(gradient, windows_of(numbers, axes)),
                                    gradient.options().memory_format(format));
  check_unpooled(op, y_gradient, offsets, numbers, axes, overlap);
  const bool needs_y = static_cast<Overlap>(overlap) == Overlap::kMax;
  TORCH_CHECK_VALUE(
      !needs_y || (y && y->sizes() == offsets.sizes() &&
                   y->scalar_type() == gradient.scalar_type() && y->device() == gradient.device()),
      op, ": overlap=2 (max) needs y, of the gradient's dtype and device");
  if (offsets.numel() == 0) return y_gradient;

  const at::Tensor dense_gradient = gradient.contiguous(format);
  const at::Tensor dense_offsets = offsets.contiguous(format);
  const at::Tensor dense_y = needs_y ? y->contiguous(format) : at::Tensor();
  const std::vector<TapPlace> places = tap_places(numbers);
  MaxUnpoolBackwardShare whole{};
  whole.gradient = dense_gradient.const_data_ptr();
  whole.y = needs_y ? dense_y.const_data_ptr() : nullptr;
  whole.offsets = dense_offsets.const_data_ptr();
  whole.y_gradient = y_gradient.mutable_data_ptr();
  whole.dtype = dtype_of(gradient);
  whole.wide_offsets = offsets.scalar_type() == at::kShort;
  whole.overlap = static_cast<Overlap>(overlap);
  whole.pooling = numbers;
  whole.channels = format == at::MemoryFormat::Contiguous ? 1 : gradient.size(1);
  whole.places = places.data();
  check_switches(op, dense_offsets, numbers, whole.channels, places);
  const int64_t in_row = pooling.w.output * whole.channels;
  at::parallel_for(0, offsets.numel() / in_row, grain_of(in_row), [&](int64_t begin, int64_t end) {
    MaxUnpoolBackwardShare share = whole;
    share.begin = begin;
    share.end = end;
    const KeepDenormals keep_denormals;
    kernels().max_unpool_backward(share);
  });
  return y_gradient;
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) {
  m.impl("max_unpool", max_unpool);
  m.impl("max_unpool_backward", max_unpool_backward);
}

}  // namespace relustat::cpu
