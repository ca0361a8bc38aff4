#include <ATen/Parallel.h>
#include <torch/library.h>

#include <memory>
#include <optional>
#include <vector>

#include "common/dtype_of.h"
#include "cpu/denormals.h"
#include "cpu/dispatch.h"
#include "cpu/grain.h"
#include "cpu/huge_pages.h"
#include "cpu/kernels/pool/unpool_plan.h"
#include "cpu/validate_switches.h"
#include "pool/tensors.h"

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
  const MaxUnpoolTensors tensors = prepare_max_unpool(
      y, offsets, input_size, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  const PooledPlanes& pooled = tensors.pooled;
  if (y.numel() == 0) return tensors.empty_x();
  if (validate) {
    check_switches(tensors.op, tensors.offsets, pooled.numbers, pooled.channels,
                   tap_positions(pooled.numbers));
  }
  at::Tensor x = tensors.empty_x();
  prefer_huge_pages(x);

  const Pooling pooling(pooled.numbers);
  MaxUnpoolShare whole{};
  whole.y = tensors.y.const_data_ptr();
  whole.offsets = tensors.offsets.const_data_ptr();
  whole.x = x.mutable_data_ptr();
  whole.dtype = dtype_of(y);
  whole.wide_offsets = has_wide_offsets(offsets);
  whole.overlap = static_cast<Overlap>(overlap);
  whole.pooling = pooled.numbers;
  const bool is_channels_last = pooled.channels > 1;
  whole.channels = is_channels_last ? pooled.channels : 0;
  const int64_t part = is_channels_last ? pooled.channels : pooling.w.input;
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
  const MaxUnpoolBackwardTensors tensors = prepare_max_unpool_backward(
      gradient, y, offsets, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  const PooledPlanes& pooled = tensors.pooled;
  if (offsets.numel() == 0) return tensors.y_gradient;

  const std::vector<TapPosition> positions = tap_positions(pooled.numbers);
  MaxUnpoolBackwardShare whole{};
  whole.gradient = tensors.gradient.const_data_ptr();
  whole.y = tensors.y.defined() ? tensors.y.const_data_ptr() : nullptr;
  whole.offsets = tensors.offsets.const_data_ptr();
  whole.y_gradient = tensors.y_gradient.mutable_data_ptr();
  whole.dtype = dtype_of(gradient);
  whole.wide_offsets = has_wide_offsets(offsets);
  whole.overlap = static_cast<Overlap>(overlap);
  whole.pooling = pooled.numbers;
  whole.channels = pooled.channels;
  whole.positions = positions.data();
  check_switches(tensors.op, tensors.offsets, pooled.numbers, whole.channels, positions);
  const int64_t in_row = pooled.numbers.w.output * whole.channels;
  at::parallel_for(0, offsets.numel() / in_row, grain_of(in_row), [&](int64_t begin, int64_t end) {
    MaxUnpoolBackwardShare share = whole;
    share.begin = begin;
    share.end = end;
    const KeepDenormals keep_denormals;
    kernels().max_unpool_backward(share);
  });
  return tensors.y_gradient;
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) {
  m.impl("max_unpool", max_unpool);
  m.impl("max_unpool_backward", max_unpool_backward);
}

}  // namespace relustat::cpu
