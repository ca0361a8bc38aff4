#pragma once

#include <cstdint>

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/column_counts.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/rectify.h"
#include "cpu/kernels/relu/span.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set. The zeros of units,
// a rectified span after the other from the start of a share.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

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

// Of units whose elements lie together: a run at a time.
template <class Format>
class RowZeros {
 public:
  using Bits = typename Format::Bits;

  explicit RowZeros(const CountingReluShare& share)
      : units_(share.units),
        inner_(share.inner),
        zeros_(share.zeros),
        unit_(share.begin / share.inner % share.units),
        left_in_run_(share.inner - share.begin % share.inner) {}

  // A span y, of which n elements are the tensor's; the others are not 0. `zeros` is what
  // rectify_part() says of it.
  [[gnu::always_inline]] inline void add(const BitLanes<Format>& zeros, const Bits* y, int64_t n) {
    if (n >= left_in_run_) return count_runs<false>(y, n, nullptr);
    run_zeros_ += zeros;
    left_in_run_ -= n;
    if (++run_spans_ == kMostSpans) add_run();
  }

  // The same, counting what is kept; `zeros` of it.
  void add_kept(int64_t zeros, const Bits* y, int64_t n, const uint8_t* kept) {
    if (n >= left_in_run_) return count_runs<true>(y, n, kept);
    zeros_[unit_] += zeros;
    left_in_run_ -= n;
  }

  void finish() { add_run(); }

 private:
  // Before a lane of 16 bits is full.
  static constexpr int64_t kMostSpans = UINT16_MAX / (kSpan / kFullLanes<uint64_t>);

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

// Of neighbours of different units: by columns, see tiling.h.
template <class Format>
class ColumnZeros {
 public:
  using Bits = typename Format::Bits;

  ColumnZeros(const CountingReluShare& share, int64_t columns)
      : counts_(share, columns, 0),
        columns_(columns),
        column_(columns > 0 ? share.begin % columns : 0),
        zeros_(share.zeros) {}

  // As RowZeros has it. kept may be null.
  [[gnu::noinline]] void add(const Bits* y, int64_t n, const uint8_t* kept) {
    uint32_t* const zeros = counts_.words() + column_;
    if (kept == nullptr) [[likely]] {
      count<false>(y, kept, zeros);
    } else {
      count<true>(y, kept, zeros);
    }
    column_ += n;
    column_ -= column_ < columns_ ? 0 : columns_;
  }

  void finish() { counts_.add_to(zeros_); }

 private:
  template <bool kMasked>
  [[gnu::always_inline]] static inline void count(const Bits* y, const uint8_t* kept,
                                                  uint32_t* zeros) {
#pragma GCC ivdep
    for (int64_t i = 0; i < kSpan; ++i) {
      zeros[i] += is_zero<Format>(y[i]) & is_kept<kMasked>(kept, i) ? 1 : 0;
    }
  }

  const ColumnCounts counts_;
  const int64_t columns_;
  int64_t column_;
  int64_t* const zeros_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
