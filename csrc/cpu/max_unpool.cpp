#include <ATen/Parallel.h>
#include <torch/library.h>

#include <atomic>
#include <optional>
#include <vector>

#include "common/dtype_of.h"
#include "cpu/denormals.h"
#include "cpu/dispatch.h"
#include "cpu/grain.h"
#include "cpu/huge_pages.h"
#include "cpu/kernels/pool/unpool_plan.h"
#include "cpu/scratch.h"
#include "cpu/validate_switches.h"
#include "pool/tensors.h"

namespace relustat::cpu {
namespace {

at::Tensor max_unpool(const at::Tensor& y, const at::Tensor& offsets, at::IntArrayRef input_size,
                      at::IntArrayRef kernel_size, at::IntArrayRef stride, at::IntArrayRef padding,
                      at::IntArrayRef dilation, bool ceil_mode, int64_t overlap, bool validate) {
  const MaxUnpoolTensors tensors = prepare_max_unpool(
      y, offsets, input_size, {kernel_size, stride, padding, dilation, ceil_mode}, overlap);
  const PooledPlanes& pooled = tensors.pooled;
  at::Tensor x = tensors.empty_x();
  if (y.numel() == 0) return x;
  prefer_huge_pages(x);

  const Pooling pooling(pooled.numbers);
  const std::vector<TapPosition> positions = tap_positions(pooled.numbers);
  MaxUnpoolShare whole{};
  whole.y = tensors.y.const_data_ptr();
  whole.offsets = tensors.offsets.const_data_ptr();
  whole.x = x.mutable_data_ptr();
  whole.dtype = dtype_of(y);
  whole.wide_offsets = has_wide_offsets(offsets);
  whole.overlap = static_cast<Overlap>(overlap);
  whole.pooling = pooled.numbers;
  whole.channels = pooled.channels;
  whole.positions = positions.data();
  whole.planes = x.numel() / (pooling.inputs() * whole.channels);
  const UnpoolPlan plan(pooling, whole.planes, whole.channels, whole.dtype, whole.overlap);
  const int64_t parts = plan.is_by_planes ? whole.planes : whole.planes * plan.slices;
  const int64_t work = (x.numel() + kElementsPerWindow * y.numel()) / parts + 1;
  std::atomic<bool> all_right{true};
  at::parallel_for(0, parts, grain_of(work), [&](int64_t begin, int64_t end) {
    const Scratch scratch(plan.bytes);
    MaxUnpoolShare share = whole;
    share.begin = begin;
    share.end = end;
    share.scratch = scratch.memory();
    const KeepDenormals keep_denormals;
    if (!kernels().max_unpool(share)) all_right = false;
  });
  if (validate && !all_right) {
    check_switches(tensors.op, tensors.offsets, pooled.numbers, pooled.channels, positions);
  }
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
