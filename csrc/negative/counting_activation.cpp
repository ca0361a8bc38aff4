#include <ATen/MemoryOverlap.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <optional>

// As in counting_relu.cpp beside it.

namespace relustat {
namespace {

using at::Tensor;
using Optional = std::optional<Tensor>;

void counting_activation_of_negative_view_(c10::DispatchKeySet keys, const Tensor& x,
                                           const Tensor& counters, const Tensor& edges,
                                           int64_t unit_dim, int64_t binning, int64_t activation,
                                           double first, double second, const Optional& mask,
                                           const Optional& blocks) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("relustat::counting_activation_", "")
          .typed<void(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t, int64_t,
                      double, double, const Optional&, const Optional&)>();
  TORCH_CHECK_VALUE(!counters.is_neg(), "counting_activation_: counters must be no negative view");
  // Before any count: a copy is counted, and a copy has no overlap.
  at::assert_no_internal_overlap(x);
  const c10::DispatchKeySet below(c10::DispatchKeySet::FULL_AFTER, c10::DispatchKey::Negative);
  const Tensor values = x.clone();
  op.redispatch(keys & below, values, counters, edges.resolve_neg(), unit_dim, binning, activation,
                first, second, mask, blocks);
  x.copy_(values);
}

void count_activation_of_negative_view(c10::DispatchKeySet keys, const Tensor& x,
                                       const Optional& output, const Tensor& counters,
                                       const Tensor& edges, int64_t unit_dim, int64_t binning,
                                       int64_t activation, double first, double second,
                                       const Optional& mask, const Optional& blocks) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("relustat::count_activation", "")
          .typed<void(const Tensor&, const Optional&, const Tensor&, const Tensor&, int64_t,
                      int64_t, int64_t, double, double, const Optional&, const Optional&)>();
  TORCH_CHECK_VALUE(!counters.is_neg(), "count_activation: counters must be no negative view");
  const c10::DispatchKeySet below(c10::DispatchKeySet::FULL_AFTER, c10::DispatchKey::Negative);
  const Optional resolved = output.has_value() ? Optional(output->resolve_neg()) : output;
  op.redispatch(keys & below, x.resolve_neg(), resolved, counters, edges.resolve_neg(), unit_dim,
                binning, activation, first, second, mask, blocks);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Negative, m) {
  m.impl("counting_activation_", counting_activation_of_negative_view_);
  m.impl("count_activation", count_activation_of_negative_view);
}

}  // namespace relustat
