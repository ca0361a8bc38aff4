#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/edge_tally.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/mask_spans.h"
#include "cpu/kernels/relu/pattern_tally.h"
#include "cpu/kernels/relu/rectified_output.h"
#include "cpu/kernels/relu/rectifier.h"
#include "cpu/kernels/relu/rectify.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tally.h"
#include "cpu/kernels/relu/tiling.h"
#include "cpu/kernels/relu/unit_runs.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The distance at which memory is fetched ahead, because counting leaves it idle.
constexpr int64_t kFetchAheadBytes = 4096;

template <class Binner>
constexpr bool kSearches = false;
template <class Value>
constexpr bool kSearches<SearchBinner<Value>> = true;

template <class Binner>
constexpr bool kIsFixedPoint = false;
template <>
constexpr bool kIsFixedPoint<FixedPointBinner> = true;

template <class Format>
class Loop {
 public:
  using Bits = typename Format::Bits;

  // columns: see tiling.h.
  Loop(const CountingReluShare& share, PoolStream* stream, int64_t columns, uint32_t* tally_scratch)
      : share_(share),
        x_(static_cast<const Bits*>(share.x)),
        output_(share, stream),
        rectifier_(share, columns),
        tally_scratch_(tally_scratch),
        mask_(share) {}

  template <class Binner>
  void run(const Binner& binner) {
    if (share_.unit_histograms) {
      count_by_units(binner);
    } else if (is_by_pattern()) {
      count_by_pattern(binner);
    } else if (!count_by_edges(binner)) {
      count(binner, share_.begin, share_.end, share_.histogram);
    }
    finish();
  }

  void run_without_bins() {
    const int64_t whole = end_of_spans(share_.begin, share_.end);
    if (mask_.is_there()) {
      for (int64_t i = share_.begin; i < whole; i += kSpan) {
        rectify_span_and_count_nans(x_ + i, output_.at(i), kSpan);
      }
    } else {
      for (int64_t i = share_.begin; i < whole; i += kSpan) {
        share_.histogram[0] += count_nans<Format, false>(x_ + i, nullptr);
        rectifier_.rectify(x_ + i, output_.at(i), kSpan);
      }
    }
    if (whole < share_.end) {
      with_padded(whole, share_.end - whole,
                  [&](Bits* span, int64_t n) { rectify_span_and_count_nans(span, span, n); });
    }
    finish();
  }

 private:
  void finish() {
    rectifier_.finish();
    output_.finish();
  }

  bool is_by_pattern() const {
    const int64_t fewest =
        share_.dtype == Dtype::kFloat16 ? kFewestFloat16ByPattern : kFewestByPattern;
    return sizeof(Bits) == 2 && !mask_.is_there() && share_.end - share_.begin >= fewest;
  }

  template <class Binner>
  void count_by_pattern(const Binner& binner) {
    if constexpr (sizeof(Bits) == 2) {
      PatternTally<Format> tally(tally_scratch_);
      int64_t i = share_.begin;
      for (; i + kSpan <= share_.end; i += kSpan) {
        fetch_ahead(i);
        tally.add(x_ + i);
        rectifier_.rectify(x_ + i, output_.at(i), kSpan);
      }
      tally.flush(binner, share_.histogram);
      count(binner, i, share_.end, share_.histogram);
    }
  }

  // Returns whether it has counted.
  template <class Binner>
  bool count_by_edges(const Binner& binner) {
    if constexpr (sizeof(Bits) == 4 && kSearches<Binner>) {
      // Equal bins too narrow for guesses are searched, too, but their scratch has no table.
      if (static_cast<Binning>(share_.binning) != Binning::kSearch) return false;
      if (mask_.is_there() || share_.end - share_.begin < kFewestByEdges) return false;
      EdgeTally tally(binner, tally_scratch_);
      if (!tally.prepare()) return false;
      int64_t i = share_.begin;
      for (; i + kSpan <= share_.end; i += kSpan) {
        fetch_ahead(i);
        tally.add(x_ + i);
        rectifier_.rectify(x_ + i, output_.at(i), kSpan);
      }
      tally.flush(share_.histogram);
      count(binner, i, share_.end, share_.histogram);
      return true;
    }
    return false;
  }

  // A histogram for each unit.
  template <class Binner>
  void count_by_units(const Binner& binner) {
    const int64_t slots = slot_count(share_.bins);
    const bool pays_for_tables =
        share_.inner >= kLongRun && tallying(slots, share_.inner) != Tallying::kOneByOne;
    if (!pays_for_tables && share_.units * slots <= INT32_MAX) {
      UnitRuns runs(share_);
      Tally<ByRuns> tally(ByRuns{runs}, share_.histogram);
      const int64_t end = end_of_spans(share_.begin, share_.end);
      count_by(tally, binner, share_.begin, end, [&] { runs.next(kSpan); });
      runs.next(share_.end - end);
      count_rest(binner, end, share_.end,
                 [&](int64_t i, int32_t slot) { ++share_.histogram[runs.histograms()[i] + slot]; });
      return;
    }
    int64_t unit = share_.begin / share_.inner % share_.units;
    for (int64_t begin = share_.begin; begin < share_.end;) {
      const int64_t end_of_run = begin - begin % share_.inner + share_.inner;
      const int64_t end = end_of_run < share_.end ? end_of_run : share_.end;
      count(binner, begin, end, share_.histogram + unit * slots);
      unit = unit + 1 < share_.units ? unit + 1 : 0;
      begin = end;
    }
  }

  template <class Binner>
  void count(const Binner& binner, int64_t begin, int64_t end, int64_t* histogram) {
    const auto slots = static_cast<int32_t>(slot_count(share_.bins));
    const int64_t rest = end_of_spans(begin, end);
    const auto nothing = [] {};
    // A search takes longer than any tally. Few other bins than equal ones are so few that pairs
    // pay.
    constexpr bool has_all_tallies = kHasAllTallies && !kSearches<Binner>;
    constexpr bool has_pairs = has_all_tallies && sizeof(Bits) == 4 && kIsFixedPoint<Binner>;
    switch (has_all_tallies ? tallying(slots, end - begin) : Tallying::kOneByOne) {
      case Tallying::kPairs:
        if constexpr (has_pairs) {
          Tally<ByPairs> tally(ByPairs(slots, histogram), tally_scratch_);
          count_by(tally, binner, begin, rest, nothing);
          break;
        }
        [[fallthrough]];
      case Tallying::kLanes:
        if constexpr (has_all_tallies) {
          Tally<ByLanes> tally(ByLanes(slots, histogram), tally_scratch_);
          count_by(tally, binner, begin, rest, nothing);
        }
        break;
      case Tallying::kOneByOne: {
        Tally<OneByOne> tally(OneByOne{}, histogram);
        count_by(tally, binner, begin, rest, nothing);
        break;
      }
    }
    count_rest(binner, rest, end, [&](int64_t, int32_t slot) { ++histogram[slot]; });
  }

  // Whole spans. Before each of them it calls prepare().
  template <class Scheme, class Binner, class Prepare>
  void count_by(Tally<Scheme>& tally, const Binner& binner, int64_t begin, int64_t end,
                const Prepare& prepare) {
    for (int64_t i = begin; i < end; i += kSpan) {
      prepare();
      Bits* const y = output_.at(i);
      tally.add([&](auto& writer, const auto& beside) __attribute__((always_inline)) {
        find_and_rectify(binner, x_ + i, y, kSpan, writer, beside);
      });
      fetch_ahead(i);
    }
    tally.flush();
  }

  // Less than a span; calls add(i, slot) for each element.
  template <class Binner, class Add>
  void count_rest(const Binner& binner, int64_t begin, int64_t end, const Add& add) {
    if (begin == end) return;
    int32_t slots[kSpan];
    SlotWriter writer{slots};
    with_padded(begin, end - begin, [&](Bits* span, int64_t n) {
      find_and_rectify(binner, span, span, n, writer, kNothing);
    });
    for (int64_t i = 0; i < end - begin; ++i) add(i, slots[i]);
  }

  static int64_t end_of_spans(int64_t begin, int64_t end) { return end - (end - begin) % kSpan; }

  [[gnu::always_inline]] inline void fetch_ahead(int64_t i) const {
    constexpr int64_t kAhead = kFetchAheadBytes / sizeof(Bits);
    for (int64_t line = 0; line < kSpan; line += kCacheLineBytes / sizeof(Bits)) {
      __builtin_prefetch(x_ + i + kAhead + line, /*write=*/0);
    }
    output_.fetch(i + kAhead);
  }

  // find_slots with the writer, while the span is rectified.
  template <class Binner, class Writer, class Beside>
  [[gnu::always_inline]] inline void find_and_rectify(const Binner& binner, const Bits* x, Bits* y,
                                                      int64_t n, Writer& writer,
                                                      const Beside& beside) {
    const uint8_t* const kept = mask_.next(n);
    if (kept != nullptr) [[unlikely]] {
      int32_t slots[kSpan];
      find_kept(binner, x, kept, slots);
      put_all(slots, writer, beside);
      rectifier_.rectify_kept(x, y, n, kept);
      return;
    }
    Bits copy[kSpan];
    if (x == y) {
      // Slots may be looked for a second time.
      memcpy(copy, x, sizeof(copy));
      x = copy;
    }
    const auto find = [&](const auto& rectify) __attribute__((always_inline)) {
      find_slots<Format>(binner, x, writer, [&]<int v>() __attribute__((always_inline)) {
        rectify.template operator()<v>();
        beside.template operator()<v>();
      });
    };
    rectifier_.rectify_beside(find, x, y, n);
  }

  // What is not kept is counted in slot 0.
  template <class Binner>
  [[gnu::noinline]] static void find_kept(const Binner& binner, const Bits* x, const uint8_t* kept,
                                          int32_t* slots) {
    SlotWriter writer{slots};
    find_slots<Format>(binner, x, writer, kNothing);
    for (int64_t i = 0; i < kSpan; ++i) slots[i] = kept[i] != 0 ? slots[i] : 0;
  }

  [[gnu::noinline]] void rectify_span_and_count_nans(const Bits* x, Bits* y, int64_t n) {
    const uint8_t* const kept = mask_.next(n);
    if (kept == nullptr) [[likely]] {
      share_.histogram[0] += count_nans<Format, false>(x, nullptr);
      rectifier_.rectify(x, y, n);
    } else {
      share_.histogram[0] += count_nans<Format, true>(x, kept);
      rectifier_.rectify_kept(x, y, n, kept);
    }
  }

  // Fewer elements than a span are filled up with numbers that are neither zero nor NaN.
  template <class Rectify>
  void with_padded(int64_t begin, int64_t n, const Rectify& rectify) {
    Bits span[kSpan];
    for (Bits& bits : span) bits = Format::kInfinity;
    memcpy(span, x_ + begin, n * sizeof(Bits));
    rectify(span, n);
    memcpy(output_.at(begin), span, n * sizeof(Bits));
  }

  const CountingReluShare& share_;
  const Bits* const x_;
  RectifiedOutput<Format> output_;
  Rectifier<Format> rectifier_;
  uint32_t* const tally_scratch_;
  MaskSpans mask_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
