#pragma once

#include <cstdint>

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/span.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set. The slots of a span.
// Floats are binned in vectors, by as few instructions as most spans need; what these cannot decide
// is left to the binner, for the whole span.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

constexpr int kFloats = kFullLanes<float>;
using Floats = Vector<float, kFloats>;
using Ints = Vector<int32_t, kFloats>;
using Uints = Vector<uint32_t, kFloats>;

template <class Format>
[[gnu::always_inline]] inline Floats load_floats(const typename Format::Bits* x) {
  if constexpr (sizeof(typename Format::Bits) == sizeof(float)) {
    return bit_cast<Floats>(load<kFloats>(x));
  } else {
    return Format::template values<Floats>(
        widen<uint32_t, kFloats, typename Format::Bits>(load<kFloats>(x)));
  }
}

template <class Format, class Binner>
[[gnu::always_inline]] inline void find_each_slot(const Binner& binner,
                                                  const typename Format::Bits* x, int32_t* slots) {
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.slot(Format::value(x[i]));
}

template <class Format>
[[gnu::always_inline]] inline void find_slots(const LogBinner<double> binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  find_each_slot<Format>(binner, x, slots);
}

// LogBinner::slot for numbers below the outer edges. NaNs have larger bits than any number.
template <class Format>
[[gnu::always_inline]] inline void find_slots(const LogBinner<float> binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  const auto shift = splat<int32_t, kFloats>(binner.shift);
  const auto nearest = splat<int32_t, kFloats>(binner.nearest);
  const auto above = splat<int32_t, kFloats>(binner.zero_slot - binner.nearest);
  const auto below = splat<int32_t, kFloats>(binner.zero_slot + binner.nearest);
  auto largest = splat<int32_t, kFloats>(0);
  for (int64_t i = 0; i < kSpan; i += kFloats) {
    const Floats values = load_floats<Format>(x + i);
    const Ints distance = bit_cast<Ints>(values) & INT32_MAX;
    const Ints is_below = values < 0;  // -1 or 0
    largest = largest > distance ? largest : distance;
    const Ints step = (distance + is_below) >> shift;
    const Ints from_nearest = step > nearest ? step : nearest;
    store((from_nearest ^ is_below) + (is_below ? below : above), slots + i);
  }
  if (any(largest >= splat<int32_t, kFloats>(binner.top))) [[unlikely]] {
    find_each_slot<Format>(binner, x, slots);
  }
}

// All elements take each step of the binary search together, so that none waits for its last step.
template <class Format, class Value>
[[gnu::always_inline]] inline void find_slots(const SearchBinner<Value> binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  Value values[kSpan];
  for (int64_t i = 0; i < kSpan; ++i) {
    values[i] = Format::value(x[i]);
    slots[i] = 0;
  }
  for (int32_t size = binner.bins + 1; size > 0; size -= (size + 1) / 2) {
    const int32_t half = (size + 1) / 2;
    for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.step(values[i], slots[i], half);
  }
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.finish(values[i], slots[i]);
}

// Guesses come first. If a guess in a span is doubtful, the whole span is compared with its edges.
template <class Format>
[[gnu::always_inline]] inline void find_slots(const LinearBinner<double> binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  int32_t doubtful = 0;
  for (int64_t i = 0; i < kSpan; ++i) {
    const double value = Format::value(x[i]);
    slots[i] = binner.guess(value);
    doubtful |= binner.is_doubtful(value) ? 1 : 0;
  }
  if (doubtful == 0) return;
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.repaired(Format::value(x[i]), slots[i]);
}

// LinearBinner's guesses in fixed point: a slot and its fraction, from the same numbers times a
// power of two.
struct FixedPointBinner {
  LinearBinner<float> linear;
  int32_t fraction_bits;
  uint32_t doubtful;  // fractions below it, as the upper bits of a word

  static FixedPointBinner make(const LinearBinner<float>& linear) {
    FixedPointBinner fixed{linear, 23, 0};
    // All digits of a float, but no sign.
    for (int32_t slots = linear.bins + 2; slots > 1; slots /= 2) --fixed.fraction_bits;
    const float steps = linear.doubtful * fixed.scaling();
    fixed.doubtful = (static_cast<uint32_t>(steps) + 1) << (32 - fixed.fraction_bits);
    return fixed;
  }

  float scaling() const { return static_cast<float>(1 << fraction_bits); }
};

template <class Format>
[[gnu::always_inline]] inline void find_slots(const FixedPointBinner& binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  const LinearBinner<float>& linear = binner.linear;
  const float scaling = binner.scaling();
  const auto scale = splat<float, kFloats>(linear.scale * scaling);
  const auto offset = splat<float, kFloats>(linear.offset * scaling);
  const auto least = splat<float, kFloats>(linear.least * scaling);
  const auto most = splat<float, kFloats>(linear.most * scaling);
  const auto exempt = splat<float, kFloats>(linear.exempt);
  const auto fraction_bits = splat<int32_t, kFloats>(binner.fraction_bits);
  const auto slot_bits = splat<uint32_t, kFloats>(32 - binner.fraction_bits);
  auto least_fraction = splat<uint32_t, kFloats>(UINT32_MAX);
  for (int64_t i = 0; i < kSpan; i += kFloats) {
    const Floats values = load_floats<Format>(x + i);
    const Floats at = values * scale + offset;
    // NaN stays NaN, of which the conversion makes a number with fraction 0.
    const Floats from_least = least > at ? least : at;
    const Floats within = most < from_least ? most : from_least;
    const Ints fixed = __builtin_convertvector(within, Ints);
    const Uints fraction = bit_cast<Uints>(fixed) << slot_bits;
    const Uints asked = values == exempt ? splat<uint32_t, kFloats>(UINT32_MAX) : fraction;
    least_fraction = asked < least_fraction ? asked : least_fraction;
    store(fixed >> fraction_bits, slots + i);
  }
  if (!any(least_fraction < splat<uint32_t, kFloats>(binner.doubtful))) return;
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = linear.repaired(Format::value(x[i]), slots[i]);
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
