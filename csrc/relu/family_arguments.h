#pragma once

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/prelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/square.h>
#include <ATen/ops/threshold.h>
#include <c10/core/Scalar.h>

#include <cmath>
#include <optional>

#include "relu/checks.h"
#include "relu/dense_relu.h"
#include "relu/family.h"

// The arguments of counting_activation and count_activation that counting_relu has not.
// relustat/ops/reference/checks.py has the same checks in the same words; a test compares them.

namespace relustat {

inline Activation checked_activation(const char* op, int64_t activation, double first,
                                     double second) {
  TORCH_CHECK_VALUE(1 <= activation && activation <= kLastActivation, op,
                    ": activation must be in [1, ", kLastActivation, "], got ", activation);
  const auto kind = static_cast<Activation>(activation);
  TORCH_CHECK_VALUE(kind != Activation::kClamp || first < second, op,
                    ": the lower knee must be below the upper one, got ", first, " and ", second);
  TORCH_CHECK_VALUE(kind != Activation::kSlope || std::isfinite(first), op,
                    ": the slope must be finite, got ", first);
  TORCH_CHECK_VALUE(kind != Activation::kThreshold || !(std::isnan(first) || std::isnan(second)),
                    op, ": the threshold and the output below it must be numbers, got ", first,
                    " and ", second);
  TORCH_CHECK_VALUE(kind != Activation::kNearZero || first >= 0, op,
                    ": near_zero must be at least 0, got ", first);
  return kind;
}

// Of ops that compute the output, too.
inline Activation checked_fused_activation(const char* op, int64_t activation, double first,
                                           double second) {
  const Activation kind = checked_activation(op, activation, first, second);
  TORCH_CHECK_VALUE(kind != Activation::kNearZero, op,
                    ": activation must be one that an op computes, got ", activation,
                    " (near zero), which only count_activation counts");
  return kind;
}

// Raises PyTorch's error for a number that its ops cannot convert to the type of x.
inline void check_range(const at::Tensor& x, Activation activation, double first, double second) {
  const auto convert = [&](double number, at::ScalarType to) {
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, to, "counting_activation",
                                    [&] { static_cast<void>(at::Scalar(number).to<scalar_t>()); });
  };
  const at::ScalarType own = x.scalar_type();
  const at::ScalarType wide = own == at::kDouble ? at::kDouble : at::kFloat;
  const bool is_threshold_of_cpu = activation == Activation::kThreshold && x.is_cpu();
  convert(first, activation == Activation::kSlope || is_threshold_of_cpu ? wide : own);
  convert(second, own);
}

// output: the activation's, if it is what is looked at.
inline void check_output(const char* op, const at::Tensor& x, Activation activation,
                         const std::optional<at::Tensor>& output) {
  TORCH_CHECK_VALUE((activation == Activation::kNearZero) == output.has_value(), op,
                    ": output must be given for activation=5 (near zero) alone, got activation=",
                    static_cast<int64_t>(activation), output.has_value() ? " with" : " without",
                    " an output");
  if (!output.has_value()) return;
  TORCH_CHECK_VALUE(output->sizes() == x.sizes() && output->scalar_type() == x.scalar_type() &&
                        output->device() == x.device(),
                    op, ": output must have the input's size, dtype and device, got ",
                    output->scalar_type(), " ", output->sizes(), " on ", output->device());
}

inline void check_slopes(const char* op, const at::Tensor& x, Activation activation, int64_t units,
                         const std::optional<at::Tensor>& slopes) {
  if (!slopes.has_value()) return;
  TORCH_CHECK_VALUE(activation == Activation::kSlope, op,
                    ": slopes must be given for activation=2 (slope) alone, got activation=",
                    static_cast<int64_t>(activation));
  TORCH_CHECK_VALUE(
      slopes->scalar_type() == x.scalar_type() && slopes->device() == x.device() &&
          slopes->is_contiguous() && (slopes->numel() == 1 || slopes->numel() == units),
      op, ": slopes must be contiguous, of the input's dtype and device, one or one for each of ",
      units, " units, got ", slopes->scalar_type(), " ", slopes->sizes(), " on ", slopes->device());
}

// hardtanh and prelu keep the strides of a dense input, also of dimensions of size 1. The others
// are computed as ReLU is.
inline at::Tensor empty_activation_output(const at::Tensor& dense, Activation activation,
                                          bool has_slopes) {
  const bool keeps_strides = activation == Activation::kClamp || has_slopes;
  return keeps_strides ? at::empty_like(dense) : empty_relu_output(dense);
}

// What PyTorch gives.
inline at::Tensor activated(const at::Tensor& x, Activation activation,
                            const ActivationNumbers& numbers,
                            const std::optional<at::Tensor>& slopes) {
  switch (activation) {
    case Activation::kClamp:
      return at::hardtanh(x, numbers.first, numbers.second);
    case Activation::kSlope:
      if (slopes.has_value()) return at::prelu(x, slopes->flatten());
      return at::leaky_relu(x, numbers.first);
    case Activation::kThreshold:
      return at::threshold(x, numbers.first, numbers.second);
    case Activation::kSquare:
      return at::square(at::relu(x));
    case Activation::kRelu:
    case Activation::kNearZero:
      break;
  }
  TORCH_CHECK(false, "no op computes activation ", static_cast<int64_t>(activation));
}

}  // namespace relustat
