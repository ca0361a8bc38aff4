#pragma once

#include <cstdint>

#include "../../binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Elements that are searched, or looked at again, together.
constexpr int64_t kSpan = 64;

template <class Binner, class Format>
void find_slots(const Binner& binner, const typename Format::Bits* x, int64_t n, uint16_t* slots) {
  for (int64_t i = 0; i < n; ++i) {
    slots[i] = static_cast<uint16_t>(binner.slot(Format::value(x[i])));
  }
}

// All elements of a span take each step of the binary search together, so that none waits for its
// own last step.
template <class Format>
void find_searched_slots(const SearchBinner<typename Format::Value>& binner,
                         const typename Format::Bits* x, int64_t n, uint16_t* slots) {
  using Value = typename Format::Value;
  for (int64_t start = 0; start < n; start += kSpan) {
    const int64_t length = kSpan < n - start ? kSpan : n - start;
    Value values[kSpan];
    int32_t below[kSpan];
    for (int64_t i = 0; i < length; ++i) {
      values[i] = Format::value(x[start + i]);
      below[i] = 0;
    }
    for (int32_t size = binner.bins + 1; size > 0; size -= (size + 1) / 2) {
      const int32_t half = (size + 1) / 2;
      for (int64_t i = 0; i < length; ++i) below[i] = binner.step(values[i], below[i], half);
    }
    for (int64_t i = 0; i < length; ++i) {
      slots[start + i] = static_cast<uint16_t>(binner.finish(values[i], below[i]));
    }
  }
}

// Guesses first; a span in which a guess is doubtful is compared with its edges as a whole.
template <class Format>
void find_linear_slots(const LinearBinner<typename Format::Value>& binner,
                       const typename Format::Bits* x, int64_t n, uint16_t* slots) {
  for (int64_t start = 0; start < n; start += kSpan) {
    const int64_t stop = start + kSpan < n ? start + kSpan : n;
    int32_t doubtful = 0;
    for (int64_t i = start; i < stop; ++i) {
      const auto value = Format::value(x[i]);
      slots[i] = static_cast<uint16_t>(binner.guess(value));
      doubtful |= binner.is_doubtful(value) ? 1 : 0;
    }
    if (doubtful == 0) continue;
    // In 32 bits, the width in which the edges can be gathered.
    int32_t wide[kSpan];
    for (int64_t i = start; i < stop; ++i) wide[i - start] = slots[i];
    for (int64_t i = start; i < stop; ++i) {
      wide[i - start] = binner.repaired(Format::value(x[i]), wide[i - start]);
    }
    for (int64_t i = start; i < stop; ++i) slots[i] = static_cast<uint16_t>(wide[i - start]);
  }
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
