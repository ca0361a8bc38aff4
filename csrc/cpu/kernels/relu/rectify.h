#pragma once

#include <cstdint>

#include "common/float_format.h"
#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/span.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set. A span is rectified.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// kMasked: whether only the elements with a byte other than 0 in `kept` are counted.

template <bool kMasked>
[[gnu::always_inline]] inline bool is_kept(const uint8_t* kept, int64_t i) {
  return !kMasked || kept[i] != 0;
}

template <class Format>
using BitLanes = Vector<typename Format::Bits, kFullLanes<typename Format::Bits>>;

// Part v of kParts of a span: lane by lane, minus the number of zeros. y may be x.
template <class Format, int v = 0, int kParts = 1>
[[gnu::always_inline]] inline BitLanes<Format> rectify_part(const typename Format::Bits* x,
                                                            typename Format::Bits* y) {
  using Bits = typename Format::Bits;
  constexpr int kLanes = kFullLanes<Bits>;
  constexpr int kAll = kSpan / kLanes;
  constexpr int kFirst = v * kAll / kParts;
  constexpr int kEnd = (v + 1) * kAll / kParts;
  BitLanes<Format> zeros{};
  for_each_index<kEnd - kFirst>([&]<int i>() __attribute__((always_inline)) {
    constexpr int kAt = (kFirst + i) * kLanes;
    const auto bits = load<kLanes>(x + kAt);
    const auto nothing = splat<Bits, kLanes>(0);
    if constexpr (kIsNative<Format>) {
      const auto values = bit_cast<Vector<typename Format::Value, kLanes>>(bits);
      const auto zero = splat<typename Format::Value, kLanes>(0);
      store(larger(zero, values), y + kAt);
      zeros += bit_cast<BitLanes<Format>>(values <= 0);
    } else {
      constexpr auto kLeast = static_cast<Bits>(Format::kSign + 1);
      const auto is_below = bits - splat<Bits, kLanes>(kLeast) <
                            splat<Bits, kLanes>(static_cast<Bits>(Format::kInfinity));
      const auto rectified = is_below ? nothing : bits;
      store(rectified, y + kAt);
      zeros += bit_cast<BitLanes<Format>>(rectified + rectified == nothing);
    }
  });
  return zeros;
}

// The same for the elements that are kept; the number of zeros.
template <class Format>
[[gnu::always_inline]] inline int64_t rectify_kept_span(const typename Format::Bits* x,
                                                        typename Format::Bits* y,
                                                        const uint8_t* kept) {
  using Bits = typename Format::Bits;
  Bits zeros = 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < kSpan; ++i) {
    const Bits bits = x[i];
    y[i] = rectify<Format>(bits);
    zeros = static_cast<Bits>(zeros + (rectifies_to_zero<Format>(bits) & (kept[i] != 0) ? 1 : 0));
  }
  return static_cast<int64_t>(zeros);
}

template <class Format, bool kMasked>
[[gnu::always_inline]] inline int64_t count_nans(const typename Format::Bits* x,
                                                 const uint8_t* kept) {
  using Bits = typename Format::Bits;
  Bits nans = 0;
  for (int64_t i = 0; i < kSpan; ++i) {
    nans = static_cast<Bits>(nans + (is_nan<Format>(x[i]) & is_kept<kMasked>(kept, i) ? 1 : 0));
  }
  return static_cast<int64_t>(nans);
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
