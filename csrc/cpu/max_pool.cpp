#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "../dtype_of.h"
#include "../pooling_checks.h"
#include "denormals.h"
#include "dispatch.h"
#include "grain.h"
#include "huge_pages.h"

namespace relustat::cpu {
namespace {

std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x, at::IntArrayRef kernel_size,
                                            at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool ceil_mode) {
  const PoolingOptions options{kernel_size, stride, padding, dilation, ceil_mode};
  const int64_t axes = options.axes();
  const std::string op = op_name("max_pool", axes);
  check_pooled(op, x, axes);
  const PoolingNumbers numbers = check_pooling(op, options, x.sizes().slice(x.dim() - axes));
  const Pooling pooling(numbers);

  const at::MemoryFormat format = pooling_format(x, axes);
  const at::Tensor dense = x.contiguous(format);
  const std::vector<int64_t> sizes = resized(x, windows_of(numbers, axes));
  at::Tensor y = at::empty(sizes, x.options().memory_format(format));
  at::Tensor offsets =
      at::empty(sizes, x.options().dtype(offsets_dtype(numbers)).memory_format(format));
  if (y.numel() == 0) return {y, offsets};
  prefer_huge_pages(y);
  prefer_huge_pages(offsets);

  MaxPoolShare whole{};
  whole.x = dense.const_data_ptr();
  whole.y = y.mutable_data_ptr();
  whole.offsets = offsets.mutable_data_ptr();
  whole.dtype = dtype_of(x);
  whole.wide_offsets = offsets.scalar_type() == at::kShort;
  whole.pooling = numbers;
  whole.channels = format == at::MemoryFormat::Contiguous ? 0 : x.size(1);
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
