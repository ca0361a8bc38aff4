#pragma once

#include <limits>

#include "relu/family.h"

// The family of ReLU on CUDA devices: what torch computes otherwise there than on the CPU, and
// several activations in one form. Slope and Square are those of family.h.

namespace relustat {
inline namespace RELUSTAT_ISA {

// Clamp and Threshold: one output for inputs up to the lower knee, another for those from the upper
// one on. Torch takes the maximum of x and the lower knee, and of that the minimum with the upper
// one: a knee at +0.0 makes -0.0 of the input +0.0. The threshold is of the input's type, too.
template <class Format>
struct Knees {
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;
  Value lower;
  Value upper;  // NaN: there is none
  Bits below;
  Bits above;

  explicit RELUSTAT_HOST_DEVICE Knees(Activation activation, const ActivationNumbers& numbers)
      : lower(rounded_to<Format>(numbers.first)) {
    const bool is_clamp = activation == Activation::kClamp;
    upper = is_clamp ? rounded_to<Format>(numbers.second) : std::numeric_limits<Value>::quiet_NaN();
    below = bits_of<Format>(is_clamp ? lower : static_cast<Value>(numbers.second));
    above = bits_of<Format>(upper);
  }

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const {
    const Bits at_most = is_saturated(bits) ? above : bits;
    return is_inactive(bits) ? below : at_most;
  }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const { return Format::value(bits) <= lower; }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits bits) const { return Format::value(bits) >= upper; }

  // Whether zeros keep their signs, because the maximum with -0.0 and the minimum with +0.0 are the
  // zero itself. Then a clamp is as on the CPU: family.h's Clamp.
  RELUSTAT_HOST_DEVICE bool keep_zeros() const {
    return bits_of<Format>(lower) == Format::kSign || above == 0;
  }
};

// What is counted of each, in one form for all: inactive from `least` to `most`, saturated from
// `upper` on, which may be NaN.
template <class Format>
struct Activity {
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;
  Value least = -std::numeric_limits<Value>::infinity();
  Value most = 0;
  Value upper = std::numeric_limits<Value>::quiet_NaN();

  explicit RELUSTAT_HOST_DEVICE Activity(Activation activation, const ActivationNumbers& numbers) {
    if (activation == Activation::kClamp || activation == Activation::kThreshold) {
      const Knees<Format> knees(activation, numbers);
      most = knees.lower;
      upper = knees.upper;
    } else if (activation == Activation::kNearZero) {
      most = NearZero<Format>(numbers).most;
      least = -most;
    }
  }

  RELUSTAT_HOST_DEVICE Bits output(Bits bits) const { return bits; }
  RELUSTAT_HOST_DEVICE bool is_inactive(Bits bits) const {
    const auto x = Format::value(bits);
    return (least <= x) & (x <= most);
  }
  RELUSTAT_HOST_DEVICE bool is_saturated(Bits bits) const { return Format::value(bits) >= upper; }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
