#pragma once

#include <cstdint>

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tally.h"
#include "cpu/kernels/relu/tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The unit of each element, as the position of its histogram in [units, slots], for one span after
// the other. A unit's elements lie in runs.
class UnitRuns {
 public:
  explicit UnitRuns(const CountingReluShare& share)
      : slots_(static_cast<int32_t>(slot_count(share.bins))),
        units_(static_cast<int32_t>(share.units)),
        inner_(share.inner),
        unit_(static_cast<int32_t>(share.begin / share.inner % share.units)),
        left_in_run_(share.inner - share.begin % share.inner) {}

  // Of the next n elements.
  [[gnu::always_inline]] inline void next(int64_t n) {
    if (n < left_in_run_ && is_one_run_) [[likely]] {
      left_in_run_ -= n;
      return;
    }
    walk(n);
  }

  const int32_t* histograms() const { return histograms_; }

 private:
  [[gnu::noinline]] void walk(int64_t n) {
    if (inner_ < kShortestRow) return walk_one_by_one(n);
    fill(0, unit_ * slots_);
    is_one_run_ = n < left_in_run_;
    while (left_in_run_ <= n) {
      unit_ = unit_ + 1 < units_ ? unit_ + 1 : 0;
      fill(left_in_run_, unit_ * slots_);
      left_in_run_ += inner_;
    }
    left_in_run_ -= n;
  }

  void walk_one_by_one(int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      histograms_[i] = unit_ * slots_;
      if (--left_in_run_ > 0) continue;
      left_in_run_ = inner_;
      unit_ = unit_ + 1 < units_ ? unit_ + 1 : 0;
    }
  }

  // From element `begin` on. The loop visits all elements: with a known length it needs no
  // remainder.
  void fill(int64_t begin, int32_t histogram) {
    const auto first = static_cast<int32_t>(begin);
    for (int32_t i = 0; i < kSpan; ++i) histograms_[i] = i < first ? histograms_[i] : histogram;
  }

  const int32_t slots_;
  const int32_t units_;
  const int64_t inner_;
  int32_t unit_;
  int64_t left_in_run_;
  bool is_one_run_ = false;  // whether the last span was, so that the next one may be as it
  int32_t histograms_[kSpan] = {};
};

// The histograms themselves, [units, slots].
struct ByRuns : OneByOne {
  explicit ByRuns(const UnitRuns& runs) : runs(runs) {}

  struct Writer {
    const int32_t* histograms;
    uint32_t* words;

    template <int v>
    [[gnu::always_inline]] inline void put(Ints slots) {
      store(slots + load<kFloats>(histograms + v * kFloats), words + v * kFloats);
    }
  };
  [[gnu::always_inline]] inline Writer writer(uint32_t* words) const {
    return {runs.histograms(), words};
  }

  const UnitRuns& runs;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
