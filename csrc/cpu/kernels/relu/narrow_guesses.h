#pragma once

#include <cstdint>

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tiling.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// LinearBinner for a format of so few numbers that all guesses are known to be right but those of
// NaN, the last edge, and numbers next to 0. Such numbers often lie on an edge, where a guess would
// be in doubt.
struct NarrowBinner {
  LinearBinner<float> linear;
  uint32_t doubtful;  // the number of magnitudes next to 0 of which a guess may be wrong

  template <class Format>
  static NarrowBinner make(const LinearBinner<float>& linear) {
    uint32_t largest_wrong = 0;
    for (int64_t pattern = 0; pattern < kPatterns; pattern += kSpan) {
      for (int64_t i = 0; i < kSpan; ++i) {
        const float x = Format::value(static_cast<typename Format::Bits>(pattern + i));
        const int32_t guess = linear.guess(x);
        const bool is_wrong = linear.repaired(x, guess) != guess;
        const bool is_asked = (x != linear.last_edge) & (x == x);
        const uint32_t wrong = is_wrong & is_asked ? magnitude(x) : 0;
        largest_wrong = wrong > largest_wrong ? wrong : largest_wrong;
      }
    }
    return {linear, largest_wrong};
  }

  // Whether few numbers are in doubt.
  bool is_useful() const {
    const bool is_zero_right = linear.exempt == 0;
    return is_zero_right && bit_cast<float>(doubtful) * linear.scale < 0x1p-10f;
  }

  static uint32_t magnitude(float x) { return bit_cast<uint32_t>(x) & INT32_MAX; }

  int32_t slot(float x) const { return linear.slot(x); }
};

template <class Format, class Writer, class Beside>
[[gnu::always_inline]] inline void find_slots(const NarrowBinner& binner,
                                              const typename Format::Bits* x, Writer& writer,
                                              const Beside& beside) {
  const auto scale = splat<float, kFloats>(binner.linear.scale);
  const auto offset = splat<float, kFloats>(binner.linear.offset);
  const auto least = splat<float, kFloats>(binner.linear.least);
  const auto most = splat<float, kFloats>(binner.linear.most);
  const auto last_edge = splat<float, kFloats>(binner.linear.last_edge);
  const auto doubtful = splat<uint32_t, kFloats>(binner.doubtful);
  auto doubt = splat<int32_t, kFloats>(0);
  for_each_index<kVectors>([&]<int v>() __attribute__((always_inline)) {
    const Floats values = load_floats<Format>(x + v * kFloats);
    const Floats at = values * scale + offset;
    const Floats from_least = least > at ? least : at;
    const Floats within = most < from_least ? most : from_least;
    // 0 becomes the largest number.
    const Uints next_to_zero = (bit_cast<Uints>(values) & INT32_MAX) - 1;
    doubt |= (values == last_edge) | (values != values) | (next_to_zero < doubtful);
    writer.template put<v>(__builtin_convertvector(within, Ints));
    beside.template operator()<v>();
  });
  if (any(doubt)) put_repaired<Format>(binner.linear, x, writer);
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
