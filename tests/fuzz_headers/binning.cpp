#define RELUSTAT_VECTOR_BYTES 16

#include "relu/binning.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bin_edges.h"
#include "cpu/kernels/relu/edge_tally.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/narrow_guesses.h"
#include "cuda/relu/key_binner.h"
#include "input.h"

// Every way to find the slot of a value, against a search of the standard library.

namespace {

using namespace relustat;
using namespace relustat::cpu;
using fuzz::Edges;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::expected_slot;
using fuzz::Input;

template <class Value>
Value read_value(Input& input, const std::vector<float>& edges) {
  constexpr Value kInfinity = std::numeric_limits<Value>::infinity();
  const int64_t steps = input.number(-4, 4);
  if (steps == 4) return input.raw<Value>();
  Value value = edges[input.number(0, static_cast<int64_t>(edges.size()) - 1)];
  for (int64_t i = 0; i < std::abs(steps); ++i) {
    value = std::nextafter(value, steps < 0 ? -kInfinity : kInfinity);
  }
  return value;
}

template <class Format>
struct Span {
  typename Format::Bits bits[kSpan];

  double value(int64_t i) const { return Format::value(bits[i]); }
};

template <class Format>
Span<Format> read_span(Input& input, const std::vector<float>& edges) {
  using Value = typename Format::Value;
  Span<Format> span;
  const int64_t different = input.number(1, 24);
  for (int64_t i = 0; i < kSpan; ++i) {
    if (i >= different) {
      span.bits[i] = span.bits[i % different];
    } else if constexpr (kIsNative<Format>) {
      span.bits[i] = bit_cast<typename Format::Bits>(read_value<Value>(input, edges));
    } else {
      // Beside an edge, too: numbers of 16 bits often are one.
      const int64_t steps = input.number(-3, 4);
      const Value edge = read_value<Value>(input, edges);
      span.bits[i] = steps == 4
                         ? input.raw<uint16_t>()
                         : static_cast<uint16_t>(Format::template rounded<uint32_t>(edge) + steps);
    }
  }
  return span;
}

// Without an order of the edges all that is promised is that slots stay in range.
struct Expected {
  const Edges& edges;

  void check(const char* what, double x, int32_t slot) const {
    if (edges.are_of_their_kind) {
      expect_equal(what, expected_slot(edges.values, x), slot, std::lround(x));
    } else {
      expect(what, 0 <= slot && slot <= edges.bins() + 2, slot);
    }
  }
};

template <class Format, class Binner>
void check_each(const char* what, const Expected& expected, const Binner& binner,
                const Span<Format>& span) {
  for (int64_t i = 0; i < kSpan; ++i) {
    expected.check(what, span.value(i), binner.slot(Format::value(span.bits[i])));
  }
}

template <class Format, class Binner>
void check_binner(const char* what, const Expected& expected, const Binner& binner,
                  const Span<Format>& span) {
  check_each(what, expected, binner, span);
  int32_t slots[kSpan];
  SlotWriter writer{slots};
  find_slots<Format>(binner, span.bits, writer, kNothing);
  for (int64_t i = 0; i < kSpan; ++i) expected.check(what, span.value(i), slots[i]);
}

void check_edge_tally(const Edges& edges, const Span<Float32>& span) {
  static uint32_t scratch[kEdgeTallyWords];
  const SearchBinner<float> binner{edges.values.data(), edges.bins()};
  std::vector<int64_t> expected(edges.bins() + 3), counted(edges.bins() + 3);
  {
    EdgeTally tally(binner, scratch);
    if (tally.prepare()) {
      for (int64_t i = 0; i < kSpan; ++i) ++expected[expected_slot(edges.values, span.value(i))];
      tally.add(span.bits);
      tally.flush(counted.data());
    }
  }
  for (size_t i = 0; i < expected.size(); ++i) expect_equal("tally", expected[i], counted[i], i);
  const auto is_0 = [](uint32_t word) { return word == 0; };
  expect("the tally's scratch is 0 again", std::all_of(scratch, scratch + kEdgeTallyWords, is_0));
}

template <class Format>
void check_keys(const Expected& expected, const Span<Format>& span) {
  const Edges& edges = expected.edges;
  const auto keys = cuda::KeyBinner<Format>::make(edges.values.data(), edges.bins(), 16);
  for (int64_t i = 0; i < kSpan; ++i) {
    const auto bits = span.bits[i];
    expected.check("slot of a format's bits", span.value(i), keys.slot(bits));
    if (!keys.is_key(bits)) continue;
    const auto key = static_cast<uint32_t>(keys.moved(bits) >> keys.shift);
    expected.check("slot of a key", span.value(i), keys.slot_of_key(key));
  }
}

template <class Format>
void check_format(Input& input, const Edges& edges) {
  using Value = typename Format::Value;
  const Expected expected{edges};
  const Span<Format> span = read_span<Format>(input, edges.values);
  const float* const values = edges.values.data();
  check_binner("search", expected, SearchBinner<Value>{values, edges.bins()}, span);
  if (edges.kind == Binning::kLinear) {
    const auto binner = LinearBinner<Value>::make(values, edges.bins());
    if (!binner.guesses_within_one) return;
    if constexpr (sizeof(Value) == sizeof(double)) {
      check_binner("linear", expected, binner, span);
    } else {
      check_each("linear", expected, binner, span);
      check_binner("fixed point", expected, FixedPointBinner::make(binner), span);
    }
    if constexpr (!kIsNative<Format>) {
      if (!input.rarely()) return;
      const auto narrow = NarrowBinner::make<Format>(binner);
      if (narrow.is_useful()) check_binner("narrow", expected, narrow, span);
    }
  } else if (edges.kind == Binning::kLog) {
    check_binner("log", expected, LogBinner<Value>::make(values, edges.bins()), span);
    if constexpr (sizeof(Value) == sizeof(float)) check_keys<Format>(expected, span);
  } else if constexpr (std::is_same_v<Format, Float32>) {
    if (edges.are_of_their_kind && input.rarely()) check_edge_tally(edges, span);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const int64_t format = input.number(0, 3);
  const Edges edges = fuzz::read_edges(input);
  if (edges.values.size() < 2) return 0;
  switch (format) {
    case 0:
      check_format<Float32>(input, edges);
      break;
    case 1:
      check_format<Float64>(input, edges);
      break;
    case 2:
      check_format<BFloat16>(input, edges);
      break;
    default:
      check_format<Float16>(input, edges);
  }
  return 0;
}
