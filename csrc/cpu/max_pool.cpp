#include "cpu/max_pool.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <tuple>

#include "common/dtype_of.h"
#include "cpu/denormals.h"
#include "cpu/dispatch.h"
#include "cpu/grain.h"
#include "cpu/huge_pages.h"
#include "cpu/kernels/pool/pool_plan.h"
#include "cpu/scratch.h"

namespace relustat::cpu {
namespace {

std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x, at::IntArrayRef kernel_size,
                                            at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool ceil_mode) {
  const MaxPoolTensors tensors =
      prepare_max_pool("max_pool", x, {kernel_size, stride, padding, dilation, ceil_mode},
                       pooling_format(x, static_cast<int64_t>(kernel_size.size())));
  if (tensors.y.numel() > 0) pool_windows(tensors.x, max_pool_outputs(tensors));
  return {tensors.y, tensors.offsets};
}

}  // namespace

MaxPoolShare max_pool_outputs(const MaxPoolTensors& tensors) {
  prefer_huge_pages(tensors.y);
  prefer_huge_pages(tensors.offsets);
  MaxPoolShare whole{};
  whole.y = tensors.y.mutable_data_ptr();
  whole.offsets = tensors.offsets.mutable_data_ptr();
  whole.dtype = dtype_of(tensors.y);
  whole.wide_offsets = has_wide_offsets(tensors.offsets);
  whole.pooling = tensors.pooled.numbers;
  whole.channels = tensors.pooled.channels > 1 ? tensors.pooled.channels : 0;
  return whole;
}

void pool_windows(const at::Tensor& x, MaxPoolShare whole) {
  whole.x = x.const_data_ptr();
  const Pooling pooling(whole.pooling);
  const PoolPlan plan(pooling, whole.channels, x.element_size());
  const int64_t windows_in_part = plan.is_by_planes    ? pooling.outputs()
                                  : whole.channels > 0 ? whole.channels
                                                       : pooling.w.output;
  const int64_t windows = x.numel() / pooling.inputs() * pooling.outputs();
  const int64_t work = windows_in_part * (pooling.taps() + kElementsPerWindow);
  at::parallel_for(0, windows / windows_in_part, grain_of(work), [&](int64_t begin, int64_t end) {
    const Scratch scratch(plan.bytes);
    MaxPoolShare share = whole;
    share.begin = begin;
    share.end = end;
    share.scratch = scratch.memory();
    const KeepDenormals keep_denormals;
    kernels().max_pool(share);
  });
}

TORCH_LIBRARY_IMPL(relustat, CPU, m) { m.impl("max_pool", max_pool); }

}  // namespace relustat::cpu
