#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/relu.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <optional>

#include "common/dtype_of.h"
#include "common/with_format.h"
#include "cuda/relu/call_on_tensors.h"
#include "cuda/relu/counting_relu_launch.h"
#include "relu/checks.h"
#include "relu/dense_relu.h"

namespace relustat::cuda {
namespace {

using Optional = std::optional<at::Tensor>;

// x and y are dense, with equal strides except for dimensions of size 1. y may be x.
void rectify_and_count(const at::Tensor& x, const at::Tensor& y, const at::Tensor& counters,
                       const at::Tensor& edges, int64_t unit_dim, int64_t binning,
                       const Optional& mask, const Optional& blocks, const CounterLayout& layout) {
  CallOnTensors call(x, counters, edges, unit_dim, mask, blocks, layout);
  call.kernel_call.y = y.mutable_data_ptr();
  with_format(dtype_of(x), [&]<class Format>() {
    launch_counting_relu<Format>(static_cast<Binning>(binning), dense_unit_layout(x, unit_dim),
                                 call.kernel_call);
  });
}

at::Tensor counting_relu(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                         int64_t unit_dim, int64_t binning, const Optional& mask,
                         const Optional& blocks) {
  const CounterLayout layout =
      check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks);
  if (x.numel() == 0 || is_recomputation()) return at::relu(x);
  const c10::cuda::CUDAGuard guard(x.device());
  return rectify_dense(x, empty_relu_output, [&](const at::Tensor& dense, const at::Tensor& y) {
    rectify_and_count(dense, y, counters, edges, unit_dim, binning, mask, blocks, layout);
  });
}

void counting_relu_(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                    int64_t unit_dim, int64_t binning, const Optional& mask,
                    const Optional& blocks) {
  const CounterLayout layout =
      check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks);
  at::assert_no_internal_overlap(x);
  at::Tensor output = x;
  if (x.numel() == 0 || is_recomputation()) {
    at::relu_(output);
    return;
  }
  const c10::cuda::CUDAGuard guard(x.device());
  rectify_dense_in_place(x, [&](const at::Tensor& dense, const at::Tensor& y) {
    rectify_and_count(dense, y, counters, edges, unit_dim, binning, mask, blocks, layout);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) {
  m.impl("counting_relu", counting_relu);
  m.impl("counting_relu_", counting_relu_);
}

}  // namespace relustat::cuda
