#include <ATen/MemoryOverlap.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <optional>

// Views whose values are the negatives of those in memory, such as z.conj().imag. PyTorch's
// fallback for them reads what an op has written from its results, and this op has no result.

namespace relustat {
namespace {

using at::Tensor;
using Optional = std::optional<Tensor>;

void counting_relu_of_negative_view_(c10::DispatchKeySet keys, const Tensor& x,
                                     const Tensor& counters, const Tensor& edges, int64_t unit_dim,
                                     int64_t binning, const Optional& mask,
                                     const Optional& blocks) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::counting_relu_", "")
                             .typed<void(const Tensor&, const Tensor&, const Tensor&, int64_t,
                                         int64_t, const Optional&, const Optional&)>();
  TORCH_CHECK_VALUE(!counters.is_neg(), "counting_relu_: counters must be no negative view");
  // Before any count: a copy is counted, and a copy has no overlap.
  at::assert_no_internal_overlap(x);
  const c10::DispatchKeySet below(c10::DispatchKeySet::FULL_AFTER, c10::DispatchKey::Negative);
  const Tensor values = x.clone();
  op.redispatch(keys & below, values, counters, edges.resolve_neg(), unit_dim, binning, mask,
                blocks);
  x.copy_(values);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Negative, m) {
  m.impl("counting_relu_", counting_relu_of_negative_view_);
}

}  // namespace relustat
