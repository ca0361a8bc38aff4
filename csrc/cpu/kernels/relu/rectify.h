#pragma once

#include <cstdint>

#include "common/float_format.h"
#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set. Elements are
// rectified a span at a time, one span after the other from the start of the thread's share, while
// the zeros of each unit are counted.

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

// The zeros of a rectified span, a bit for each element.
class ZeroBits {
 public:
  template <class Format, bool kMasked>
  static ZeroBits of(const typename Format::Bits* y, const uint8_t* kept) {
    uint8_t are_zero[kSpan];
    for (int64_t i = 0; i < kSpan; ++i) {
      are_zero[i] = is_zero<Format>(y[i]) & is_kept<kMasked>(kept, i) ? 1 : 0;
    }
    ZeroBits zeros;
    for (int64_t word = 0; word < kSpan / 64; ++word) {
      zeros.words_[word] = lowest_bits(are_zero + 64 * word);
    }
    return zeros;
  }

  // The number of zeros before element i.
  int64_t before(int64_t i) const {
    int64_t zeros = 0;
    for (int64_t word = 0; word < kSpan / 64; ++word) {
      const int64_t in_word = i - 64 * word;
      const uint64_t asked = in_word <= 0 ? 0 : in_word < 64 ? (uint64_t{1} << in_word) - 1 : ~0ull;
      zeros += __builtin_popcountll(words_[word] & asked);
    }
    return zeros;
  }

 private:
  uint64_t words_[kSpan / 64] = {};
};

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

// For units whose elements lie together: a run at a time.
template <class Format>
class RowRectifier {
 public:
  using Bits = typename Format::Bits;

  explicit RowRectifier(const CountingReluShare& share)
      : units_(share.units),
        inner_(share.inner),
        zeros_(share.zeros),
        unit_(share.begin / share.inner % share.units),
        left_in_run_(share.inner - share.begin % share.inner) {}

  // A span, of which n elements are the tensor's; the others are not 0.
  [[gnu::always_inline]] inline void rectify(const Bits* x, Bits* y, int64_t n) {
    add(rectify_part<Format>(x, y), y, n);
  }
  // The same, in parts that find(rectify) asks for by rectify.operator()<v>().
  template <class Find>
  [[gnu::always_inline]] inline void rectify_beside(const Find& find, const Bits* x, Bits* y,
                                                    int64_t n) {
    BitLanes<Format> zeros{};
    find([&]<int v>()
             __attribute__((always_inline)) { zeros += rectify_part<Format, v, kVectors>(x, y); });
    add(zeros, y, n);
  }
  // Counts what is kept.
  [[gnu::noinline]] void rectify_kept(const Bits* x, Bits* y, int64_t n, const uint8_t* kept) {
    const int64_t zeros = rectify_kept_span<Format>(x, y, kept);
    if (n >= left_in_run_) return count_runs<true>(y, n, kept);
    zeros_[unit_] += zeros;
    left_in_run_ -= n;
  }

  void finish() { add_run(); }

 private:
  // Before a lane of 16 bits is full.
  static constexpr int64_t kMostSpans = UINT16_MAX / (kSpan / kFullLanes<uint64_t>);

  [[gnu::always_inline]] inline void add(const BitLanes<Format>& zeros, const Bits* y, int64_t n) {
    if (n >= left_in_run_) return count_runs<false>(y, n, nullptr);
    run_zeros_ += zeros;
    left_in_run_ -= n;
    if (++run_spans_ == kMostSpans) add_run();
  }

  [[gnu::noinline]] void add_run() {
    for (int i = 0; i < kFullLanes<Bits>; ++i) {
      zeros_[unit_] += static_cast<int64_t>(static_cast<Bits>(-run_zeros_[i]));
    }
    run_zeros_ = BitLanes<Format>{};
    run_spans_ = 0;
  }

  template <bool kMasked>
  [[gnu::noinline]] void count_runs(const Bits* y, int64_t n, const uint8_t* kept) {
    if (run_spans_ > 0) add_run();
    const auto zeros = ZeroBits::of<Format, kMasked>(y, kept);
    int64_t counted = 0;
    for (int64_t begin = 0; begin < n;) {
      const int64_t end = begin + left_in_run_ < n ? begin + left_in_run_ : n;
      const int64_t so_far = zeros.before(end);
      zeros_[unit_] += so_far - counted;
      counted = so_far;
      left_in_run_ -= end - begin;
      begin = end;
      if (left_in_run_ > 0) continue;
      left_in_run_ = inner_;
      unit_ = unit_ + 1 < units_ ? unit_ + 1 : 0;
    }
  }

  const int64_t units_;
  const int64_t inner_;
  int64_t* const zeros_;
  int64_t unit_;
  int64_t left_in_run_;
  BitLanes<Format> run_zeros_{};  // of whole spans of the run, lane by lane, not yet added
  int64_t run_spans_ = 0;
};

// For neighbours of different units: zeros are counted by columns, see tiling.h.
template <class Format>
class ColumnRectifier {
 public:
  using Bits = typename Format::Bits;

  ColumnRectifier(const CountingReluShare& share, int64_t columns)
      : share_(share),
        columns_(columns),
        column_zeros_(share.scratch),
        column_(share.begin % columns) {}

  [[gnu::always_inline]] inline void rectify(const Bits* x, Bits* y, int64_t n) {
    rectify_and_count<false>(x, y, n, nullptr);
  }
  template <class Find>
  [[gnu::always_inline]] inline void rectify_beside(const Find& find, const Bits* x, Bits* y,
                                                    int64_t n) {
    find(kNothing);
    rectify(x, y, n);
  }
  [[gnu::noinline]] void rectify_kept(const Bits* x, Bits* y, int64_t n, const uint8_t* kept) {
    rectify_and_count<true>(x, y, n, kept);
  }

  template <bool kMasked>
  [[gnu::always_inline]] inline void rectify_and_count(const Bits* x, Bits* y, int64_t n,
                                                       const uint8_t* kept) {
    // No column is 2^32 elements long: there are at least kFewestColumns.
    uint32_t* const zeros = column_zeros_ + column_;
#pragma GCC ivdep
    for (int64_t i = 0; i < kSpan; ++i) {
      const Bits bits = x[i];
      y[i] = relustat::rectify<Format>(bits);
      zeros[i] += rectifies_to_zero<Format>(bits) & is_kept<kMasked>(kept, i) ? 1 : 0;
    }
    column_ += n;
    column_ -= column_ < columns_ ? 0 : columns_;
  }

  void finish() {
    // A span that begins in the last columns continues behind them.
    for (int64_t i = 0; i < kSpan; ++i) {
      column_zeros_[i] += column_zeros_[columns_ + i];
      column_zeros_[columns_ + i] = 0;
    }
    for (int64_t column = 0; column < columns_;) {
      for (int64_t unit = 0; unit < share_.units; ++unit) {
        for (int64_t i = 0; i < share_.inner; ++i, ++column) {
          share_.zeros[unit] += column_zeros_[column];
          column_zeros_[column] = 0;
        }
      }
    }
  }

 private:
  const CountingReluShare& share_;
  const int64_t columns_;
  uint32_t* const column_zeros_;
  int64_t column_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
