#include <ATen/MemoryOverlap.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/threshold_backward.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <optional>

#include "autograd/differentiation.h"

// The gradient comes from the op of nn.ReLU's gradient, so any device, double backward and the
// compiler work. Nothing else has a gradient.

namespace relustat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<Tensor>;

// Of counting_relu.
constexpr size_t kArguments = 7;

Tensor rectify(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
               int64_t binning, const Optional& mask, const Optional& blocks) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::counting_relu", "")
                             .typed<Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t,
                                           int64_t, const Optional&, const Optional&)>();
  const at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(x, counters, edges, unit_dim, binning, mask, blocks);
}

const auto& in_place_op() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::counting_relu_", "")
                             .typed<void(const Tensor&, const Tensor&, const Tensor&, int64_t,
                                         int64_t, const Optional&, const Optional&)>();
  return op;
}

// Through the ADInplaceOrView kernel below, which tells autograd that x has changed.
void rectify_(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
              int64_t binning, const Optional& mask, const Optional& blocks) {
  const at::AutoDispatchBelowAutograd guard;
  in_place_op().call(x, counters, edges, unit_dim, binning, mask, blocks);
}

void counting_relu_backward_(const Tensor& gradient, const Tensor& output) {
  Tensor written = gradient;
  // With the copy it is three times as fast as across two layouts.
  const bool are_alike = gradient.strides() == output.strides();
  at::threshold_backward_out(written, gradient,
                             are_alike ? output : at::empty_like(gradient).copy_(output), 0);
}

// Whether torch.compile traces this backward pass for a CPU.
bool is_traced_for_cpu(const Tensor& gradient) {
  using c10::impl::TorchDispatchModeKey;
  using c10::impl::TorchDispatchModeTLS;
  return gradient.is_cpu() && !c10::GradMode::is_enabled() &&
         TorchDispatchModeTLS::get_mode(TorchDispatchModeKey::FUNCTIONAL).has_value();
}

Tensor input_gradient(const Tensor& output, const Tensor& gradient) {
  if (!is_traced_for_cpu(gradient)) return at::threshold_backward(gradient, output, 0);
  // The compiler would store for each output whether it is 0. On a CPU its code does that one by
  // one, which takes longer than all else that a ReLU does. It cannot look into an op of our own.
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("relustat::counting_relu_backward_", "")
                             .typed<void(const Tensor&, const Tensor&)>();
  // It leaves the copy out, as in relustat/ops/counting_relu.py.
  Tensor result = gradient.clone();
  op.call(result, output);
  return result;
}

variable_list input_gradients(const AutogradContext* context, const variable_list& gradients) {
  variable_list all{input_gradient(context->get_saved_variables()[0], gradients[0])};
  all.resize(kArguments);
  return all;
}

class CountingRelu : public torch::autograd::Function<CountingRelu> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& counters,
                        const Tensor& edges, int64_t unit_dim, int64_t binning,
                        const Optional& mask, const Optional& blocks) {
    Tensor y = rectify(x, counters, edges, unit_dim, binning, mask, blocks);
    context->save_for_backward({y});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    return input_gradients(context, grads);
  }
};

class InplaceCountingRelu : public torch::autograd::Function<InplaceCountingRelu> {
 public:
  static Tensor forward(AutogradContext* context, Tensor x, const Tensor& counters,
                        const Tensor& edges, int64_t unit_dim, int64_t binning,
                        const Optional& mask, const Optional& blocks) {
    {
      const WritesOverInput enabled;
      rectify_(x, counters, edges, unit_dim, binning, mask, blocks);
    }
    context->mark_dirty({x});
    context->save_for_backward({x});
    return x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    return input_gradients(context, grads);
  }
};

Tensor counting_relu(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
                     int64_t binning, const Optional& mask, const Optional& blocks) {
  if (has_tangent(x)) {
    rectify(x, counters, edges, unit_dim, binning, mask, blocks);
    return at::relu(x);
  }
  return needs_gradient(x)
             ? CountingRelu::apply(x, counters, edges, unit_dim, binning, mask, blocks)
             : rectify(x, counters, edges, unit_dim, binning, mask, blocks);
}

void counting_relu_(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
                    int64_t binning, const Optional& mask, const Optional& blocks) {
  // Before any write or count.
  torch::autograd::check_inplace(x, needs_gradient(x));
  if (has_tangent(x)) {
    at::assert_no_internal_overlap(x);
    rectify(x, counters, edges, unit_dim, binning, mask, blocks);
    Tensor output = x;
    at::relu_(output);
  } else if (needs_gradient(x)) {
    InplaceCountingRelu::apply(x, counters, edges, unit_dim, binning, mask, blocks);
  } else {
    rectify_(x, counters, edges, unit_dim, binning, mask, blocks);
  }
}

// Also in inference mode, autograd must see the change of a tensor that a backward needs.
void counting_relu_and_mark_changed(const Tensor& x, const Tensor& counters, const Tensor& edges,
                                    int64_t unit_dim, int64_t binning, const Optional& mask,
                                    const Optional& blocks) {
  check_can_change(x);
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    in_place_op().call(x, counters, edges, unit_dim, binning, mask, blocks);
  }
  torch::autograd::increment_version(x);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Autograd, m) {
  m.impl("counting_relu", counting_relu);
  m.impl("counting_relu_", counting_relu_);
}

TORCH_LIBRARY_IMPL(relustat, CompositeExplicitAutograd, m) {
  m.impl("counting_relu_backward_", counting_relu_backward_);
}

TORCH_LIBRARY_IMPL(relustat, ADInplaceOrView, m) {
  m.impl("counting_relu_", counting_relu_and_mark_changed);
}

}  // namespace relustat
