#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/threshold_backward.h>
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

variable_list input_gradient(const Tensor& output, const Tensor& grad) {
  return {at::threshold_backward(grad, output, 0),
          Tensor(),
          Tensor(),
          Tensor(),
          Tensor(),
          Tensor(),
          Tensor()};
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
    return input_gradient(context->get_saved_variables()[0], grads[0]);
  }
};

class InplaceCountingRelu : public torch::autograd::Function<InplaceCountingRelu> {
 public:
  static Tensor forward(AutogradContext* context, Tensor x, const Tensor& counters,
                        const Tensor& edges, int64_t unit_dim, int64_t binning,
                        const Optional& mask, const Optional& blocks) {
    rectify_(x, counters, edges, unit_dim, binning, mask, blocks);
    context->mark_dirty({x});
    context->save_for_backward({x});
    return x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    return input_gradient(context->get_saved_variables()[0], grads[0]);
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

TORCH_LIBRARY_IMPL(relustat, ADInplaceOrView, m) {
  m.impl("counting_relu_", counting_relu_and_mark_changed);
}

}  // namespace relustat
