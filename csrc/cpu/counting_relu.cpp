#include <ATen/MemoryOverlap.h>
#include <ATen/ops/relu.h>
#include <torch/library.h>

#include <optional>

#include "cpu/counted_calls.h"
#include "cpu/huge_pages.h"
#include "relu/dense_relu.h"

namespace relustat::cpu {
namespace {

using Optional = std::optional<at::Tensor>;

at::Tensor counting_relu(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                         int64_t unit_dim, int64_t binning, const Optional& mask,
                         const Optional& blocks) {
  const CounterLayout layout =
      check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks);
  const CountingArguments arguments{counters, edges, unit_dim, binning, mask, blocks};
  if (!takes_turn(x, arguments)) return at::relu(x);
  return rectify_dense(x, empty_relu_output, [&](const at::Tensor& dense, const at::Tensor& y) {
    if (!y.is_same(dense)) prefer_huge_pages(y);
    rectify_and_count(dense, y.mutable_data_ptr(), nullptr, arguments, layout);
  });
}

void counting_relu_(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                    int64_t unit_dim, int64_t binning, const Optional& mask,
                    const Optional& blocks) {
  const CounterLayout layout =
      check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks);
  const CountingArguments arguments{counters, edges, unit_dim, binning, mask, blocks};
  at::assert_no_internal_overlap(x);
  at::Tensor output = x;
  if (!takes_turn(x, arguments)) {
    at::relu_(output);
    return;
  }
  rectify_dense_in_place(x, [&](const at::Tensor& dense, const at::Tensor& y) {
    rectify_and_count(dense, y.mutable_data_ptr(), nullptr, arguments, layout);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) {
  m.impl("counting_relu", counting_relu);
  m.impl("counting_relu_", counting_relu_);
}

}  // namespace relustat::cpu
