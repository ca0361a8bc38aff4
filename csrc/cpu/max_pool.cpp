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
#include "pool/tensors.h"

namespace relustat::cpu {
namespace {

// What it takes to store the result of a window, in elements that it looks at.
constexpr int64_t kElementsPerWindow = 8;

std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x, at::IntArrayRef kernel_size,
                                            at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool ceil_mode) {
  const MaxPoolTensors tensors =
      prepare_max_pool(x, {kernel_size, stride, padding, dilation, ceil_mode});
  const auto& [pooled, dense, y, offsets] = tensors;
  if (y.numel() == 0) return {y, offsets};
  prefer_huge_pages(y);
  prefer_huge_pages(offsets);

  const Pooling pooling(pooled.numbers);
  MaxPoolShare whole{};
  whole.x = dense.const_data_ptr();
  whole.y = y.mutable_data_ptr();
  whole.offsets = offsets.mutable_data_ptr();
  whole.dtype = dtype_of(x);
  whole.wide_offsets = has_wide_offsets(offsets);
  whole.pooling = pooled.numbers;
  whole.channels = pooled.channels > 1 ? pooled.channels : 0;
  const PoolPlan plan(pooling, whole.channels, x.element_size());
  const int64_t windows_in_part = plan.is_by_planes    ? pooling.outputs()
                                  : whole.channels > 0 ? whole.channels
                                                       : pooling.w.output;
  const int64_t parts = y.numel() / windows_in_part;
  const int64_t work = windows_in_part * (pooling.taps() + kElementsPerWindow);
  at::parallel_for(0, parts, grain_of(work), [&](int64_t begin, int64_t end) {
    const Scratch scratch(plan.bytes);
    MaxPoolShare share = whole;
    share.begin = begin;
    share.end = end;
    share.scratch = scratch.memory();
    const KeepDenormals keep_denormals;
    kernels().max_pool(share);
  });
  return {y, offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) { m.impl("max_pool", max_pool); }

}  // namespace relustat::cpu
