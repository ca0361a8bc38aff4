#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sum.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/library.h>

#include <optional>

#include "common/dtype_of.h"
#include "common/with_format.h"
#include "cuda/relu/counting_relu_launch.h"
#include "cuda/relu/workspace.h"
#include "relu/checks.h"
#include "relu/dense_relu.h"

namespace relustat::cuda {
namespace {

using Optional = std::optional<at::Tensor>;

// x and y are dense, with equal strides except for dimensions of size 1. y may be x.
void rectify_and_count(const at::Tensor& x, const at::Tensor& y, const at::Tensor& counters,
                       const at::Tensor& edges, int64_t unit_dim, int64_t binning,
                       const Optional& mask, const Optional& blocks, const CounterLayout& layout) {
  TORCH_CHECK(layout.units < kMostUnits, "counting_relu: on a GPU, units must be fewer than ",
              kMostUnits, ", got ", layout.units);
  CountingReluCall call{};
  call.x = x.const_data_ptr();
  call.y = y.mutable_data_ptr();
  call.edges = edges.const_data_ptr<float>();
  call.bins = edges.numel() == 0 ? 0 : edges.numel() - 1;
  call.counters = reinterpret_cast<Count*>(counters.mutable_data_ptr<int64_t>());
  call.workspace = static_cast<Count*>(workspace_words(Workspace::size(layout.units)));
  at::Tensor bytes, kept;
  if (mask.has_value()) {
    bytes = dense_mask(*mask, x, unit_dim);
    kept = at::sum(bytes);
    call.mask = static_cast<const uint8_t*>(bytes.const_data_ptr());
    call.kept = reinterpret_cast<const Count*>(kept.const_data_ptr<int64_t>());
  }
  if (blocks.has_value()) {
    call.blocks = reinterpret_cast<const Count*>(blocks->const_data_ptr<int64_t>());
  }
  call.layout = layout;
  with_format(dtype_of(x), [&]<class Format>() {
    launch_counting_relu<Format>(static_cast<Binning>(binning), dense_unit_layout(x, unit_dim),
                                 call);
  });
}

// Whether a backward pass runs. A forward inside it (activation checkpointing) repeats one that was
// counted before.
bool is_recomputation() { return torch::autograd::get_current_graph_task_id() != -1; }

at::Tensor counting_relu(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                         int64_t unit_dim, int64_t binning, const Optional& mask,
                         const Optional& blocks) {
  const CounterLayout layout =
      check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks);
  if (x.numel() == 0 || is_recomputation()) return at::relu(x);
  const c10::cuda::CUDAGuard guard(x.device());
  return rectify_dense(x, [&](const at::Tensor& dense, const at::Tensor& y) {
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
