#include <ATen/MemoryOverlap.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <optional>

#include "cpu/counted_calls.h"
#include "cpu/huge_pages.h"
#include "relu/dense_relu.h"
#include "relu/family_arguments.h"

namespace relustat::cpu {
namespace {

using Optional = std::optional<at::Tensor>;

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
  const CountingArguments arguments{counters,
                                    edges,
                                    unit_dim,
                                    binning,
                                    mask,
                                    blocks,
                                    kind,
                                    {first, second},
                                    slopes.value_or(at::Tensor())};
  if (!takes_turn(x, arguments)) return activated(x, kind, arguments.numbers, slopes);
  const auto empty_output = [&](const at::Tensor& dense) {
    return empty_activation_output(dense, kind, slopes.has_value());
  };
  return rectify_dense(x, empty_output, [&](const at::Tensor& dense, const at::Tensor& y) {
    if (!y.is_same(dense)) prefer_huge_pages(y);
    rectify_and_count(dense, y.mutable_data_ptr(), nullptr, arguments, layout);
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
  const CountingArguments arguments{counters, edges,  unit_dim, binning,
                                    mask,     blocks, kind,     {first, second}};
  if (!takes_turn(x, arguments)) {
    x.copy_(activated(x, kind, arguments.numbers, std::nullopt));
    return;
  }
  rectify_dense_in_place(x, [&](const at::Tensor& dense, const at::Tensor& y) {
    rectify_and_count(dense, y.mutable_data_ptr(), nullptr, arguments, layout);
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
  const CountingArguments arguments{counters, edges,  unit_dim, binning,
                                    mask,     blocks, kind,     {first, second}};
  if (!takes_turn(x, arguments)) return;
  const at::Tensor dense = x.is_non_overlapping_and_dense() ? x : x.clone();
  at::Tensor observed;
  if (output.has_value()) {
    const bool are_alike = output->strides() == dense.strides();
    observed = are_alike ? *output : at::empty_like(dense).copy_(*output);
  }
  rectify_and_count(dense, nullptr, nullptr, arguments, layout,
                    observed.defined() ? observed.const_data_ptr() : nullptr);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) {
  m.impl("counting_activation", counting_activation);
  m.impl("counting_activation_", counting_activation_);
  m.impl("count_activation", count_activation);
}

}  // namespace relustat::cpu
