#pragma once

#include <cstdint>

#include "cpu/kernels/relu/span.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

template <class Format, class Value>
[[gnu::always_inline]] inline void find_slots(const LogBinner<Value> binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.slot(Format::value(x[i]));
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
template <class Format, class Value>
[[gnu::always_inline]] inline void find_slots(const LinearBinner<Value> binner,
                                              const typename Format::Bits* x, int32_t* slots) {
  int32_t doubtful = 0;
  for (int64_t i = 0; i < kSpan; ++i) {
    const Value value = Format::value(x[i]);
    slots[i] = binner.guess(value);
    doubtful |= binner.is_doubtful(value) ? 1 : 0;
  }
  if (doubtful == 0) return;
  for (int64_t i = 0; i < kSpan; ++i) slots[i] = binner.repaired(Format::value(x[i]), slots[i]);
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
