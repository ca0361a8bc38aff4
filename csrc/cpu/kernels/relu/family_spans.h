#pragma once

#include <cstdint>

#include "cpu/kernels/relu/activate.h"
#include "cpu/kernels/relu/column_counts.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/span.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Activates a share's spans, one after the other, while the inactive and saturated elements of each
// unit are counted.
template <class Format>
class FamilySpans {
 public:
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;

  // columns: see tiling.h; 0: by rows.
  FamilySpans(const CountingReluShare& share, int64_t columns)
      : share_(share),
        member_(share),
        next_(share.begin),
        unit_(share.begin / share.inner % share.units),
        left_in_run_(share.inner - share.begin % share.inner),
        columns_(columns),
        column_(columns > 0 ? share.begin % columns : 0) {
    if (columns > 0 && member_.has_slopes()) set_column_slopes();
  }

  // The next n elements, which may be copied to x. kept: their mask, or null.
  [[gnu::noinline]] void activate(const Bits* x, Bits* y, int64_t n, const uint8_t* kept) {
    if (share_.observed != nullptr) x = static_cast<const Bits*>(share_.observed) + next_;
    next_ += n;
    if (columns_ > 0) return activate_by_columns(x, y, n, kept);
    for (int64_t begin = 0; begin < n;) {
      const int64_t end = begin + left_in_run_ < n ? begin + left_in_run_ : n;
      activate_one_unit(x + begin, y + begin, end - begin, kept == nullptr ? kept : kept + begin);
      left_in_run_ -= end - begin;
      begin = end;
      if (left_in_run_ > 0) continue;
      left_in_run_ = share_.inner;
      unit_ = unit_ + 1 < share_.units ? unit_ + 1 : 0;
    }
  }

  void finish() {
    if (columns_ == 0) return;
    inactive().add_to(share_.zeros);
    saturated().add_to(share_.saturated);
    if (member_.has_slopes()) {
      for (int64_t i = 0; i < columns_ + kSpan; ++i) column_slopes()[i] = 0;
    }
  }

 private:
  // In the scratch: see tiling.h.
  ColumnCounts inactive() const { return {share_, columns_, 0}; }
  ColumnCounts saturated() const { return {share_, columns_, 1}; }
  Value* column_slopes() const {
    return reinterpret_cast<Value*>(share_.scratch + 2 * (columns_ + kSpan));
  }

  void set_column_slopes() {
    for (int64_t column = 0; column < columns_ + kSpan; ++column) {
      column_slopes()[column] = member_.slope_of(column / share_.inner % share_.units);
    }
  }

  [[gnu::always_inline]] inline void activate_one_unit(const Bits* x, Bits* y, int64_t n,
                                                       const uint8_t* kept) {
    member_.with_body_of(unit_, [&](const auto& body) __attribute__((always_inline)) {
      const ActivityCounts counts = kept != nullptr ? activate_kept_run(body, x, y, n, kept)
                                    : n == kSpan    ? activate_run(body, x, y, kSpan)
                                                    : activate_run(body, x, y, n);
      share_.zeros[unit_] += counts.inactive;
      if (share_.saturated != nullptr) share_.saturated[unit_] += counts.saturated;
    });
  }

  [[gnu::always_inline]] inline void activate_by_columns(const Bits* x, Bits* y, int64_t n,
                                                         const uint8_t* kept) {
    uint32_t* const inactive = this->inactive().words() + column_;
    uint32_t* const saturated = this->saturated().words() + column_;
    member_.with_bodies(column_slopes() + column_,
                        [&](const auto& body_at) __attribute__((always_inline)) {
                          if (n == kSpan) {
                            activate_columns(body_at, x, y, kSpan, kept, inactive, saturated);
                          } else {
                            activate_columns(body_at, x, y, n, kept, inactive, saturated);
                          }
                        });
    column_ += n;
    column_ -= column_ < columns_ ? 0 : columns_;
  }

  const CountingReluShare& share_;
  const FamilyMember<Format> member_;
  int64_t next_;  // element
  int64_t unit_;
  int64_t left_in_run_;
  const int64_t columns_;
  int64_t column_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
