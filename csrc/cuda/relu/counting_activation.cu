#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <optional>

#include "common/dtype_of.h"
#include "common/with_format.h"
#include "cuda/relu/call_on_tensors.h"
#include "cuda/relu/counting_activation_launch.h"
#include "relu/dense_relu.h"
#include "relu/family_arguments.h"

namespace relustat::cuda {
namespace {

using Optional = std::optional<at::Tensor>;

// What the ops are given beside x. The arguments have been checked.
struct FamilyArguments {
  const at::Tensor& counters;
  const at::Tensor& edges;
  int64_t unit_dim;
  int64_t binning;
  Activation activation;
  ActivationNumbers numbers;
  const Optional& mask;
  const Optional& blocks;
  const CounterLayout& layout;
};

// All tensors are dense, with equal strides except for dimensions of size 1. y may be x; without,
// x is only counted. slopes and observed may be undefined.
void activate_and_count(const at::Tensor& x, const at::Tensor& y, const FamilyArguments& arguments,
                        const at::Tensor& slopes, const at::Tensor& observed) {
  CallOnTensors relu(x, arguments.counters, arguments.edges, arguments.unit_dim, arguments.mask,
                     arguments.blocks, arguments.layout);
  if (y.defined()) relu.kernel_call.y = y.mutable_data_ptr();
  with_format(dtype_of(x), [&]<class Format>() {
    using Bits = typename Format::Bits;
    CountingActivationCall<Format> call(relu.kernel_call, arguments.activation, arguments.numbers);
    if (slopes.defined()) call.slopes = static_cast<const Bits*>(slopes.const_data_ptr());
    call.has_slope_per_unit = slopes.defined() && slopes.numel() > 1;
    if (observed.defined()) call.observed = static_cast<const Bits*>(observed.const_data_ptr());
    launch_counting_activation<Format>(static_cast<Binning>(arguments.binning),
                                       dense_unit_layout(x, arguments.unit_dim), call);
  });
}

at::Tensor counting_activation(const at::Tensor& x, const at::Tensor& counters,
                               const at::Tensor& edges, int64_t unit_dim, int64_t binning,
                               int64_t activation, double first, double second,
                               const Optional& slopes, const Optional& mask,
                               const Optional& blocks) {
  constexpr const char* kOp = "counting_activation";
  const Activation kind = checked_fused_activation(kOp, activation, first, second);
  const CounterLayout layout =
      check_counting(kOp, x, counters, edges, unit_dim, binning, mask, blocks, saturates(kind));
  check_slopes(kOp, x, kind, layout.units, slopes);
  check_range(x, kind, first, second);
  if (x.numel() == 0 || is_recomputation()) return activated(x, kind, {first, second}, slopes);
  const c10::cuda::CUDAGuard guard(x.device());
  const auto empty_output = [&](const at::Tensor& dense) {
    return empty_activation_output(dense, kind, slopes.has_value());
  };
  return rectify_dense(x, empty_output, [&](const at::Tensor& dense, const at::Tensor& y) {
    activate_and_count(
        dense, y, {counters, edges, unit_dim, binning, kind, {first, second}, mask, blocks, layout},
        slopes.value_or(at::Tensor()), {});
  });
}

void counting_activation_(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                          int64_t unit_dim, int64_t binning, int64_t activation, double first,
                          double second, const Optional& mask, const Optional& blocks) {
  constexpr const char* kOp = "counting_activation_";
  const Activation kind = checked_fused_activation(kOp, activation, first, second);
  const CounterLayout layout =
      check_counting(kOp, x, counters, edges, unit_dim, binning, mask, blocks, saturates(kind));
  check_range(x, kind, first, second);
  at::assert_no_internal_overlap(x);
  if (x.numel() == 0 || is_recomputation()) {
    x.copy_(activated(x, kind, {first, second}, std::nullopt));
    return;
  }
  const c10::cuda::CUDAGuard guard(x.device());
  rectify_dense_in_place(x, [&](const at::Tensor& dense, const at::Tensor& y) {
    activate_and_count(
        dense, y, {counters, edges, unit_dim, binning, kind, {first, second}, mask, blocks, layout},
        {}, {});
  });
}

void count_activation(const at::Tensor& x, const Optional& output, const at::Tensor& counters,
                      const at::Tensor& edges, int64_t unit_dim, int64_t binning,
                      int64_t activation, double first, double second, const Optional& mask,
                      const Optional& blocks) {
  constexpr const char* kOp = "count_activation";
  const Activation kind = checked_activation(kOp, activation, first, second);
  const CounterLayout layout =
      check_counting(kOp, x, counters, edges, unit_dim, binning, mask, blocks, saturates(kind));
  check_output(kOp, x, kind, output);
  if (x.numel() == 0 || is_recomputation()) return;
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor dense = x.is_non_overlapping_and_dense() ? x : x.clone();
  at::Tensor observed;
  if (output.has_value()) {
    const bool are_alike = output->strides() == dense.strides();
    observed = are_alike ? *output : at::empty_like(dense).copy_(*output);
  }
  activate_and_count(
      dense, {}, {counters, edges, unit_dim, binning, kind, {first, second}, mask, blocks, layout},
      {}, observed);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) {
  m.impl("counting_activation", counting_activation);
  m.impl("counting_activation_", counting_activation_);
  m.impl("count_activation", count_activation);
}

}  // namespace relustat::cuda
