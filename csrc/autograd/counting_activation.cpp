#include <ATen/MemoryOverlap.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_prelu_kernel_backward.h>
#include <ATen/ops/hardtanh_backward.h>
#include <ATen/ops/leaky_relu_backward.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/threshold_backward.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <optional>
#include <utility>

#include "autograd/differentiation.h"
#include "relu/family_arguments.h"

// Gradients come from the ops of PyTorch's own gradients, so any device, double backward and the
// compiler work.

namespace relustat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<Tensor>;

// What counting_activation is given beside x.
struct FamilyCall {
  const Tensor& counters;
  const Tensor& edges;
  int64_t unit_dim;
  int64_t binning;
  int64_t activation;
  double first;
  double second;
  const Optional& slopes;
  const Optional& mask;
  const Optional& blocks;

  Activation kind() const { return static_cast<Activation>(activation); }

  Tensor activate(const Tensor& x) const {
    static const auto op =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("relustat::counting_activation", "")
            .typed<Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t, int64_t,
                          double, double, const Optional&, const Optional&, const Optional&)>();
    const at::AutoDispatchBelowADInplaceOrView guard;
    return op.call(x, counters, edges, unit_dim, binning, activation, first, second, slopes, mask,
                   blocks);
  }

  // Through the ADInplaceOrView kernel below, which tells autograd that x has changed.
  void activate_(const Tensor& x) const {
    const at::AutoDispatchBelowAutograd guard;
    in_place_op().call(x, counters, edges, unit_dim, binning, activation, first, second, mask,
                       blocks);
  }

  using InPlace = void(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t, int64_t,
                       double, double, const Optional&, const Optional&);
  static const c10::TypedOperatorHandle<InPlace>& in_place_op() {
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("relustat::counting_activation_", "")
                               .typed<InPlace>();
    return op;
  }

  void save(AutogradContext* context) const {
    context->saved_data["activation"] = activation;
    context->saved_data["first"] = first;
    context->saved_data["second"] = second;
  }
};

// Of x; and of the slopes, whose size the engine sums it to. `at`: x, or of leaky_relu_ the output.
std::pair<Tensor, Tensor> gradients_of(const AutogradContext* context, const Tensor& gradient,
                                       const Tensor& at, const Tensor& slopes, bool is_output) {
  const auto activation = static_cast<Activation>(context->saved_data.at("activation").toInt());
  const double first = context->saved_data.at("first").toDouble();
  const double second = context->saved_data.at("second").toDouble();
  switch (activation) {
    case Activation::kClamp:
      return {at::hardtanh_backward(gradient, at, first, second), {}};
    case Activation::kSlope:
      if (slopes.defined()) {
        const auto [of_x, of_slopes] = at::_prelu_kernel_backward(gradient, at, slopes);
        return {of_x, of_slopes};
      }
      return {at::leaky_relu_backward(gradient, at, first, is_output), {}};
    case Activation::kThreshold:
      return {at::threshold_backward(gradient, at, first), {}};
    case Activation::kSquare: {
      const Tensor rectified = at::relu(at);
      return {at::threshold_backward(at::mul(gradient, at::mul(rectified, 2)), rectified, 0), {}};
    }
    case Activation::kRelu:
    case Activation::kNearZero:
      break;
  }
  TORCH_CHECK(false, "counting_activation: there is no gradient of activation ", activation);
}

class CountingActivation : public torch::autograd::Function<CountingActivation> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Optional& slopes,
                        const FamilyCall& call) {
    call.save(context);
    context->save_for_backward({x, slopes.value_or(Tensor())});
    return call.activate(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    auto [of_x, of_slopes] = gradients_of(context, gradients[0], saved[0], saved[1], false);
    return {of_x, of_slopes, Tensor()};
  }
};

class InplaceCountingActivation : public torch::autograd::Function<InplaceCountingActivation> {
 public:
  static Tensor forward(AutogradContext* context, Tensor x, const FamilyCall& call) {
    call.save(context);
    const Tensor before = saves_output(call.kind()) ? Tensor() : x.clone();
    {
      const WritesOverInput enabled;
      call.activate_(x);
    }
    context->mark_dirty({x});
    context->save_for_backward({before.defined() ? before : x});
    return x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Tensor at = context->get_saved_variables()[0];
    const auto activation = static_cast<Activation>(context->saved_data.at("activation").toInt());
    return {gradients_of(context, gradients[0], at, {}, saves_output(activation)).first, Tensor()};
  }

 private:
  // As PyTorch does.
  static bool saves_output(Activation activation) { return activation == Activation::kSlope; }
};

Tensor counting_activation(const Tensor& x, const Tensor& counters, const Tensor& edges,
                           int64_t unit_dim, int64_t binning, int64_t activation, double first,
                           double second, const Optional& slopes, const Optional& mask,
                           const Optional& blocks) {
  const FamilyCall call{counters, edges,  unit_dim, binning, activation,
                        first,    second, slopes,   mask,    blocks};
  if (has_tangent(x) || (slopes.has_value() && has_tangent(*slopes))) {
    call.activate(x);
    return activated(x, call.kind(), {first, second}, slopes);
  }
  const bool is_followed = needs_gradient(x) || (slopes.has_value() && needs_gradient(*slopes));
  return is_followed ? CountingActivation::apply(x, slopes, call) : call.activate(x);
}

void counting_activation_(const Tensor& x, const Tensor& counters, const Tensor& edges,
                          int64_t unit_dim, int64_t binning, int64_t activation, double first,
                          double second, const Optional& mask, const Optional& blocks) {
  const FamilyCall call{counters, edges,  unit_dim,     binning, activation,
                        first,    second, std::nullopt, mask,    blocks};
  // Before any write or count.
  torch::autograd::check_inplace(x, needs_gradient(x));
  if (has_tangent(x)) {
    at::assert_no_internal_overlap(x);
    call.activate(x);
    x.copy_(activated(x, call.kind(), {first, second}, std::nullopt));
  } else if (needs_gradient(x) && call.kind() == Activation::kSquare) {
    // Its gradient has a gradient, too, which a copy that autograd does not see would not pass on.
    at::assert_no_internal_overlap(x);
    x.copy_(CountingActivation::apply(x.clone(), std::nullopt, call));
  } else if (needs_gradient(x)) {
    InplaceCountingActivation::apply(x, call);
  } else {
    call.activate_(x);
  }
}

// Also in inference mode, autograd must see the change of a tensor that a backward needs.
void counting_activation_and_mark_changed(const Tensor& x, const Tensor& counters,
                                          const Tensor& edges, int64_t unit_dim, int64_t binning,
                                          int64_t activation, double first, double second,
                                          const Optional& mask, const Optional& blocks) {
  check_can_change(x);
  {
    const at::AutoDispatchBelowADInplaceOrView guard;
    FamilyCall::in_place_op().call(x, counters, edges, unit_dim, binning, activation, first, second,
                                   mask, blocks);
  }
  torch::autograd::increment_version(x);
}

// Counts have no gradient.
void count_activation(const Tensor& x, const Optional& output, const Tensor& counters,
                      const Tensor& edges, int64_t unit_dim, int64_t binning, int64_t activation,
                      double first, double second, const Optional& mask, const Optional& blocks) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("relustat::count_activation", "")
          .typed<void(const Tensor&, const Optional&, const Tensor&, const Tensor&, int64_t,
                      int64_t, int64_t, double, double, const Optional&, const Optional&)>();
  const at::AutoDispatchBelowADInplaceOrView guard;
  op.call(x, output, counters, edges, unit_dim, binning, activation, first, second, mask, blocks);
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, Autograd, m) {
  m.impl("counting_activation", counting_activation);
  m.impl("counting_activation_", counting_activation_);
  m.impl("count_activation", count_activation);
}

TORCH_LIBRARY_IMPL(relustat, ADInplaceOrView, m) {
  m.impl("counting_activation_", counting_activation_and_mark_changed);
}

}  // namespace relustat
