#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/threshold_backward.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "autograd/differentiation.h"

// The gradient comes from the op of nn.ReLU's gradient, so any device, double backward and the
// compiler work. The counters have no gradient.

namespace relustat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor rectify(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
               int64_t binning) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("relustat::counting_relu", "")
          .typed<Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t)>();
  const at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(x, counters, edges, unit_dim, binning);
}

const auto& in_place_op() {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("relustat::counting_relu_", "")
          .typed<void(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t)>();
  return op;
}

// Through the ADInplaceOrView kernel below, which tells autograd that x has changed.
void rectify_(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
              int64_t binning) {
  const at::AutoDispatchBelowAutograd guard;
  in_place_op().call(x, counters, edges, unit_dim, binning);
}

variable_list input_gradient(const Tensor& output, const Tensor& grad) {
  return {at::threshold_backward(grad, output, 0), Tensor(), Tensor(), Tensor(), Tensor()};
}

class CountingRelu : public torch::autograd::Function<CountingRelu> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& counters,
                        const Tensor& edges, int64_t unit_dim, int64_t binning) {
    Tensor y = rectify(x, counters, edges, unit_dim, binning);
    context->save_for_backward({y});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    return input_gradient(context->get_saved_variables()[0], grads[0]);
  }
};

class InplaceCountingRelu : public torch::autograd::Function<InplaceCountingRelu> {
 public:
  static Tensor forward(AutogradContext* context, Tensor x, const Tensor& counters,
                        const Tensor& edges, int64_t unit_dim, int64_t binning) {
    rectify_(x, counters, edges, unit_dim, binning);
    context->mark_dirty({x});
    context->save_for_backward({x});
    return x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    return input_gradient(context->get_saved_variables()[0], grads[0]);
  }
};

Tensor counting_relu(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
                     int64_t binning) {
  if (has_tangent(x)) {
    rectify(x, counters, edges, unit_dim, binning);
    return at::relu(x);
  }
  return needs_gradient(x) ? CountingRelu::apply(x, counters, edges, unit_dim, binning)
                           : rectify(x, counters, edges, unit_dim, binning);
}

void counting_relu_(const Tensor& x, const Tensor& counters, const Tensor& edges, int64_t unit_dim,
                    int64_t binning) {
  // Before any write or count.
  torch::autograd::check_inplace(x, needs_gradient(x));
  if (has_tangent(x)) {
    rectify(x, counters, edges, unit_dim, binning);
    Tensor output = x;
    at::relu_(output);
  } else if (needs_gradient(x)) {
    InplaceCountingRelu::apply(x, counters, edges, unit_dim, binning);
  } else {
    rectify_(x, counters, edges, unit_dim, binning);
  }
}

// Also in inference mode, autograd must see the change of a tensor that a backward needs.
void counting_relu_and_mark_changed(const Tensor& x, const Tensor& counters, const Tensor& edges,
                                    int64_t unit_dim, int64_t binning) {
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    in_place_op().call(x, counters, edges, unit_dim, binning);
  }
  torch::autograd::increment_version(x);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Autograd, m) {
  m.impl("counting_relu", counting_relu);
  m.impl("counting_relu_", counting_relu_);
}

TORCH_LIBRARY_IMPL(relustat, ADInplaceOrView, m) {
  m.impl("counting_relu_", counting_relu_and_mark_changed);
}

}  // namespace relustat
