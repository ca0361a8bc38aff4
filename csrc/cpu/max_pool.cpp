#include <ATen/Parallel.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "common/dtype_of.h"
#include "cpu/denormals.h"
#include "cpu/dispatch.h"
#include "cpu/grain.h"
#include "cpu/huge_pages.h"
#include "pool/tensors.h"

namespace relustat::cpu {
namespace {

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
  const int64_t outputs_in_part = whole.channels > 0 ? whole.channels : pooling.w.output;
  const int64_t work = outputs_in_part * pooling.taps();
  at::parallel_for(0, y.numel() / outputs_in_part, grain_of(work), [&](int64_t begin, int64_t end) {
    std::vector<TapRow> tap_rows(pooling.d.kernel * pooling.h.kernel);
    MaxPoolShare share = whole;
    share.begin = begin;
    share.end = end;
    share.tap_rows = tap_rows.data();
    const KeepDenormals keep_denormals;
    kernels().max_pool(share);
  });
  return {y, offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) { m.impl("max_pool", max_pool); }

}  // namespace relustat::cpu
