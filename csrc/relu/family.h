#pragma once

#include <cstdint>

#include "common/float_format.h"

// The family of ReLU: what each activation makes of an input, and whether it is inactive or
// saturated there. docs/activations.md has the meanings.

namespace relustat {
inline namespace RELUSTAT_ISA {

// Their two numbers, `first` and `second`, in this order.
enum class Activation : int64_t {
  kRelu = 0,
  kClamp = 1,      // ReLU6, Hardtanh: lower and upper knee
  kSlope = 2,      // LeakyReLU, PReLU: the slope at and below 0
  kThreshold = 3,  // the threshold, and the output at and below it
  kSquare = 4,     // relu(x)^2
  kNearZero = 5,   // of any other's output: the largest magnitude that is near 0
};
constexpr int64_t kLastActivation = 5;

// Whether units have a number of saturated inputs.
RELUSTAT_HOST_DEVICE bool saturates(Activation activation) {
  return activation == Activation::kClamp;
}

struct ActivationNumbers {
  double first;
  double second;
};

// A float in another format, and back.
template <class Format>
RELUSTAT_HOST_DEVICE typename Format::Bits bits_of(typename Format::Value value) {
  if constexpr (kIsNative<Format>) {
    return bit_cast<typename Format::Bits>(value);
  } else {
    return static_cast<typename Format::Bits>(Format::template rounded<uint32_t>(value));
  }
}

template <class Format>
RELUSTAT_HOST_DEVICE typename Format::Value rounded_to(double number) {
  return Format::value(bits_of<Format>(static_cast<typename Format::Value>(number)));
}

// Of each, as torch computes it on the CPU: output(x), is_inactive(x), is_saturated(x). NaN is
// neither. What torch rounds to the input's type is rounded here.

template <class Format>
struct Clamp {
  using Bits = typename Format::Bits;
  typename Format::Value lower;
  typename Format::Value upper;

  explicit RELUSTAT_HOST_DEVICE Clamp(const ActivationNumbers& numbers)
      : lower(rounded_to<Format>(numbers.first)), upper(rounded_to<Format>(numbers.second)) {}

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const {
    const auto x = Format::value(bits);
    const Bits above = x > upper ? bits_of<Format>(upper) : bits;
    return x < lower ? bits_of<Format>(lower) : above;
  }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const { return Format::value(bits) <= lower; }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits bits) const { return Format::value(bits) >= upper; }
};

template <class Format>
struct Slope {
  using Bits = typename Format::Bits;
  typename Format::Value slope;

  explicit RELUSTAT_HOST_DEVICE Slope(const ActivationNumbers& numbers)
      : slope(static_cast<typename Format::Value>(numbers.first)) {}

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const {
    const auto x = Format::value(bits);
    return x > 0 ? bits : bits_of<Format>(x * slope);
  }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const { return Format::value(bits) <= 0; }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits) const { return false; }
};

template <class Format>
struct Threshold {
  using Bits = typename Format::Bits;
  typename Format::Value threshold;
  Bits below;

  explicit RELUSTAT_HOST_DEVICE Threshold(const ActivationNumbers& numbers)
      : threshold(static_cast<typename Format::Value>(numbers.first)),
        below(bits_of<Format>(static_cast<typename Format::Value>(numbers.second))) {}

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const { return is_inactive(bits) ? below : bits; }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const {
    return Format::value(bits) <= threshold;
  }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits) const { return false; }
};

template <class Format>
struct Square {
  using Bits = typename Format::Bits;

  explicit RELUSTAT_HOST_DEVICE Square(const ActivationNumbers&) {}

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const {
    const auto x = Format::value(bits);
    const auto rectified = x < 0 ? 0 : x;
    return bits_of<Format>(rectified * rectified);
  }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const { return Format::value(bits) <= 0; }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits) const { return false; }
};

// Looks at outputs, and leaves them as they are.
template <class Format>
struct NearZero {
  using Bits = typename Format::Bits;
  typename Format::Value most;

  explicit RELUSTAT_HOST_DEVICE NearZero(const ActivationNumbers& numbers)
      : most(static_cast<typename Format::Value>(numbers.first)) {}

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const { return bits; }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const {
    const auto y = Format::value(bits);
    return (-most <= y) & (y <= most);
  }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits) const { return false; }
};

// Calls visit(body); not for ReLU, which has its own loops.
template <class Format, class Visit>
void with_activation(Activation activation, const ActivationNumbers& numbers, const Visit& visit) {
  switch (activation) {
    case Activation::kRelu:
      return;
    case Activation::kClamp:
      return visit(Clamp<Format>(numbers));
    case Activation::kSlope:
      return visit(Slope<Format>(numbers));
    case Activation::kThreshold:
      return visit(Threshold<Format>(numbers));
    case Activation::kSquare:
      return visit(Square<Format>(numbers));
    case Activation::kNearZero:
      return visit(NearZero<Format>(numbers));
  }
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
