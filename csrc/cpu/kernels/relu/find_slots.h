#pragma once

#include <cstdint>

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/span.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.
//
// find_slots(binner, x, writer, beside) finds the slots of a span. Each vector v of them goes to
// writer.put<v>(slots), and after it beside.operator()<v>() does what has nothing to do with slots:
// it fills the time that they wait for each other. Floats are binned in vectors, by as few
// instructions as most spans need. What these cannot decide is left to the binner, for the whole
// span, whose slots are then put a second time.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

constexpr int kFloats = kFullLanes<float>;
using Floats = Vector<float, kFloats>;
using Ints = Vector<int32_t, kFloats>;
using Uints = Vector<uint32_t, kFloats>;

constexpr int kVectors = kSpan / kFloats;

template <class Format>
[[gnu::always_inline]] inline Floats load_floats(const typename Format::Bits* x) {
  if constexpr (sizeof(typename Format::Bits) == sizeof(float)) {
    return bit_cast<Floats>(load<kFloats>(x));
  } else {
    return Format::template values<Floats>(
        widen<uint32_t, kFloats, typename Format::Bits>(load<kFloats>(x)));
  }
}

constexpr auto kNothing = []<int>() {};

// Slots as they are.
struct SlotWriter {
  int32_t* slots;  // [kSpan]

  template <int v>
  [[gnu::always_inline]] inline void put(Ints found) {
    store(found, slots + v * kFloats);
  }
};

template <class Writer, class Beside>
[[gnu::always_inline]] inline void put_all(const int32_t* slots, Writer& writer,
                                           const Beside& beside) {
  for_each_index<kVectors>([&]<int v>() __attribute__((always_inline)) {
    writer.template put<v>(load<kFloats>(slots + v * kFloats));
    beside.template operator()<v>();
  });
}

template <class Format, class Binner>
[[gnu::noinline]] void find_each(const Binner& binner, const typename Format::Bits* x,
                                 int32_t* slots) {
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.slot(Format::value(x[i]));
}

template <class Format, class Writer, class Beside>
[[gnu::always_inline]] inline void find_slots(const LogBinner<double> binner,
                                              const typename Format::Bits* x, Writer& writer,
                                              const Beside& beside) {
  int32_t each[kSpan];
  find_each<Format>(binner, x, each);
  put_all(each, writer, beside);
}

// LogBinner::slot for numbers below the outer edges. NaNs have larger bits than any number.
template <class Format, class Writer, class Beside>
[[gnu::always_inline]] inline void find_slots(const LogBinner<float>& binner,
                                              const typename Format::Bits* x, Writer& writer,
                                              const Beside& beside) {
  const auto shift = splat<int32_t, kFloats>(binner.shift);
  const auto nearest = splat<int32_t, kFloats>(binner.nearest << binner.shift);
  const auto zero_slot = splat<int32_t, kFloats>(binner.zero_slot);
  auto largest = splat<int32_t, kFloats>(0);
  for_each_index<kVectors>([&]<int v>() __attribute__((always_inline)) {
    const Floats values = load_floats<Format>(x + v * kFloats);
    const Ints distance = bit_cast<Ints>(values) & INT32_MAX;
    largest = largest > distance ? largest : distance;
    // At least 1: a shift leaves 0 of it, and -1 of its opposite.
    const Ints beyond_nearest = (distance > nearest ? distance : nearest + 1) - nearest;
    const Ints from_zero = values < 0 ? -beyond_nearest : beyond_nearest;
    writer.template put<v>((from_zero >> shift) + zero_slot);
    beside.template operator()<v>();
  });
  if (any(largest >= splat<int32_t, kFloats>(binner.top))) [[unlikely]] {
    int32_t each[kSpan];
    find_each<Format>(binner, x, each);
    put_all(each, writer, kNothing);
  }
}

// All elements take each step of the binary search together, so that none waits for its last step.
// (Inlined, it would not be made of vectors.)
template <class Format, class Value>
[[gnu::noinline]] void search(const SearchBinner<Value> binner, const typename Format::Bits* x,
                              int32_t* slots) {
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

template <class Format, class Writer, class Beside, class Value>
[[gnu::always_inline]] inline void find_slots(const SearchBinner<Value> binner,
                                              const typename Format::Bits* x, Writer& writer,
                                              const Beside& beside) {
  int32_t slots[kSpan];
  search<Format>(binner, x, slots);
  put_all(slots, writer, beside);
}

// Guesses come first. If a guess in a span is doubtful, the whole span is compared with its edges.
template <class Format, class Writer, class Beside>
[[gnu::always_inline]] inline void find_slots(const LinearBinner<double> binner,
                                              const typename Format::Bits* x, Writer& writer,
                                              const Beside& beside) {
  int32_t slots[kSpan];
  int32_t doubtful = 0;
  for (int64_t i = 0; i < kSpan; ++i) {
    const double value = Format::value(x[i]);
    slots[i] = binner.guess(value);
    doubtful |= binner.is_doubtful(value) ? 1 : 0;
  }
  if (doubtful != 0) {
    for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.repaired(Format::value(x[i]), slots[i]);
  }
  put_all(slots, writer, beside);
}

template <class Format>
[[gnu::noinline]] void repair(const LinearBinner<float>& binner, const typename Format::Bits* x,
                              int32_t* slots) {
  for (int64_t i = 0; i < kSpan; ++i) {
    const float value = Format::value(x[i]);
    slots[i] = binner.repaired(value, binner.guess(value));
  }
}

// What guesses have put is put again, compared with its edges.
template <class Format, class Writer>
[[gnu::always_inline]] inline void put_repaired(const LinearBinner<float>& binner,
                                                const typename Format::Bits* x, Writer& writer) {
  int32_t each[kSpan];
  repair<Format>(binner, x, each);
  put_all(each, writer, kNothing);
}

// LinearBinner's guesses in fixed point: a slot and its fraction, from the same numbers times a
// power of two.
struct FixedPointBinner {
  LinearBinner<float> linear;
  int32_t fraction_bits;
  float scale, offset, least, most, exempt;
  uint32_t doubtful;  // fractions below it, as the upper bits of a word

  static FixedPointBinner make(const LinearBinner<float>& linear) {
    // All digits of a float, but no sign.
    int32_t fraction_bits = 23;
    for (int32_t slots = linear.bins + 2; slots > 1; slots /= 2) --fraction_bits;
    const auto scaling = static_cast<float>(1 << fraction_bits);
    const auto doubtful = static_cast<uint32_t>(linear.doubtful * scaling) + 1;
    return {.linear = linear,
            .fraction_bits = fraction_bits,
            .scale = linear.scale * scaling,
            .offset = linear.offset * scaling,
            .least = linear.least * scaling,
            .most = linear.most * scaling,
            .exempt = linear.exempt,
            .doubtful = doubtful << (32 - fraction_bits)};
  }

  int32_t slot(float x) const { return linear.slot(x); }
};

template <class Format, class Writer, class Beside>
[[gnu::always_inline]] inline void find_slots(const FixedPointBinner& binner,
                                              const typename Format::Bits* x, Writer& writer,
                                              const Beside& beside) {
  const auto scale = splat<float, kFloats>(binner.scale);
  const auto offset = splat<float, kFloats>(binner.offset);
  const auto least = splat<float, kFloats>(binner.least);
  const auto most = splat<float, kFloats>(binner.most);
  const auto exempt = splat<float, kFloats>(binner.exempt);
  const auto fraction_bits = splat<int32_t, kFloats>(binner.fraction_bits);
  const auto slot_bits = splat<uint32_t, kFloats>(32 - binner.fraction_bits);
  auto least_fraction = splat<uint32_t, kFloats>(UINT32_MAX);
  for_each_index<kVectors>([&]<int v>() __attribute__((always_inline)) {
    const Floats values = load_floats<Format>(x + v * kFloats);
    const Floats at = values * scale + offset;
    // NaN stays NaN, of which the conversion makes a number with fraction 0.
    const Floats from_least = least > at ? least : at;
    const Floats within = most < from_least ? most : from_least;
    const Ints fixed = __builtin_convertvector(within, Ints);
    const Uints fraction = bit_cast<Uints>(fixed) << slot_bits;
    const Uints asked = values == exempt ? splat<uint32_t, kFloats>(UINT32_MAX) : fraction;
    least_fraction = asked < least_fraction ? asked : least_fraction;
    writer.template put<v>(fixed >> fraction_bits);
    beside.template operator()<v>();
  });
  if (any(least_fraction < splat<uint32_t, kFloats>(binner.doubtful))) {
    put_repaired<Format>(binner.linear, x, writer);
  }
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
