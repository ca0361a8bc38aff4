// The CPU loop of counting_relu. Included once per instruction set, after RELUSTAT_ISA is set.
// Torch-free and STL-free: nothing here may be shared with a file compiled for another one.

#include <cstdint>
#include <cstring>

#include "common/with_format.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/edge_tally.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/mask_spans.h"
#include "cpu/kernels/relu/pattern_tally.h"
#include "cpu/kernels/relu/rectify.h"
#include "cpu/kernels/relu/run_with_bins.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tally.h"
#include "cpu/kernels/relu/tiling.h"
#include "cpu/kernels/relu/unit_columns.h"
#include "relu/binning.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The distance at which memory is fetched ahead, because counting leaves it idle.
constexpr int64_t kFetchAheadBytes = 4096;
constexpr int64_t kCacheLineBytes = 64;

template <class Binner>
constexpr bool kSearches = false;
template <class Value>
constexpr bool kSearches<SearchBinner<Value>> = true;

template <class Format, class Rectifier>
class Loop {
 public:
  using Bits = typename Format::Bits;

  Loop(const CountingReluShare& share, Rectifier rectifier, uint32_t* tally_scratch)
      : share_(share),
        x_(static_cast<const Bits*>(share.x)),
        y_(static_cast<Bits*>(share.y)),
        rectifier_(rectifier),
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
    rectifier_.finish();
  }

  void run_without_bins() {
    const int64_t whole = share_.end - (share_.end - share_.begin) % kSpan;
    if (mask_.is_there()) {
      for (int64_t i = share_.begin; i < whole; i += kSpan) {
        rectify_span_and_count_nans(x_ + i, y_ + i, kSpan);
      }
    } else {
      for (int64_t i = share_.begin; i < whole; i += kSpan) {
        share_.histogram[0] += count_nans<Format, false>(x_ + i, nullptr);
        rectifier_.rectify(x_ + i, y_ + i, kSpan);
      }
    }
    if (whole < share_.end) {
      with_padded(whole, share_.end - whole,
                  [&](Bits* span, int64_t n) { rectify_span_and_count_nans(span, span, n); });
    }
    rectifier_.finish();
  }

 private:
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
        rectifier_.rectify(x_ + i, y_ + i, kSpan);
      }
      tally.flush(binner, share_.histogram);
      count(binner, i, share_.end, share_.histogram);
    }
  }

  // Returns whether it has counted.
  template <class Binner>
  bool count_by_edges(const Binner& binner) {
    if constexpr (sizeof(Bits) == 4 && kSearches<Binner>) {
      if (mask_.is_there() || share_.end - share_.begin < kFewestByEdges) return false;
      EdgeTally tally(binner, tally_scratch_);
      if (!tally.prepare()) return false;
      int64_t i = share_.begin;
      for (; i + kSpan <= share_.end; i += kSpan) {
        fetch_ahead(i);
        tally.add(x_ + i);
        rectifier_.rectify(x_ + i, y_ + i, kSpan);
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
    int64_t unit = share_.begin / share_.inner % share_.units;
    int64_t left_in_run = share_.inner - share_.begin % share_.inner;
    const auto leave_run = [&] {
      unit = unit + 1 < share_.units ? unit + 1 : 0;
      left_in_run = share_.inner;
    };
    if (share_.inner >= kLongRun && tallying(slots, share_.inner) != Tallying::kOneByOne) {
      for (int64_t begin = share_.begin; begin < share_.end; leave_run()) {
        const int64_t left = share_.end - begin;
        const int64_t end = begin + (left_in_run < left ? left_in_run : left);
        count(binner, begin, end, share_.histogram + unit * slots);
        begin = end;
      }
      return;
    }
    for_each_span<Counted::kAfter>(
        binner, share_.begin, share_.end, nothing_between, [&](const SpanSlots& found, int64_t n) {
          int32_t span[kSpan];
          write_slots(found, span);
          for (int64_t begin = 0; begin < n;) {
            const int64_t end = left_in_run < n - begin ? begin + left_in_run : n;
            int64_t* const counts = share_.histogram + unit * slots;
            for (int64_t i = begin; i < end; ++i) ++counts[span[i]];
            left_in_run -= end - begin;
            begin = end;
            if (left_in_run == 0) leave_run();
          }
        });
  }

  template <class Binner>
  void count(const Binner& binner, int64_t begin, int64_t end, int64_t* histogram) {
    const auto slots = static_cast<int32_t>(slot_count(share_.bins));
    switch (tallying(slots, end - begin)) {
      case Tallying::kPairs:
        count_by(ByPairs{slots}, binner, begin, end, histogram);
        break;
      case Tallying::kLanes:
        count_by(ByLanes{slots}, binner, begin, end, histogram);
        break;
      case Tallying::kOneByOne:
        for_each_span<Counted::kAfter>(
            binner, begin, end, nothing_between,
            [&](const SpanSlots& span, int64_t n) { add_one_by_one(span, n, histogram); });
        break;
    }
  }

  template <class Scheme, class Binner>
  void count_by(const Scheme& scheme, const Binner& binner, int64_t begin, int64_t end,
                int64_t* histogram) {
    Tally<Scheme> tally(scheme, tally_scratch_, histogram);
    const auto add = [&](const SpanSlots& span, int64_t n) __attribute__((always_inline)) {
      if (n == kSpan) {
        tally.add(span);
      } else {
        add_one_by_one(span, n, histogram);
      }
    };
    if (scheme.is_small()) {
      for_each_span<Counted::kBefore>(
          binner, begin, end, [&](int part) { tally.increment_part(part); }, add);
    } else {
      for_each_span<Counted::kAfter>(binner, begin, end, nothing_between,
                                     [&](const SpanSlots& span, int64_t n) {
                                       tally.increment_all();
                                       add(span, n);
                                     });
    }
    tally.flush();
  }

  [[gnu::always_inline]] static inline void add_one_by_one(const SpanSlots& span, int64_t n,
                                                           int64_t* histogram) {
    int32_t slots[kSpan];
    write_slots(span, slots);
    for (int64_t i = 0; i < n; ++i) ++histogram[slots[i]];
  }

  static void nothing_between(int) {}

  // Whether a span is counted before or after it is rectified: slots that are in registers come
  // first, those that are read one by one from memory come last.
  enum class Counted { kBefore, kAfter };

  [[gnu::always_inline]] inline void fetch_ahead(int64_t i) const {
    constexpr int64_t kAhead = kFetchAheadBytes / sizeof(Bits);
    for (int64_t line = 0; line < kSpan; line += kCacheLineBytes / sizeof(Bits)) {
      __builtin_prefetch(x_ + i + kAhead + line, /*write=*/0);
      __builtin_prefetch(y_ + i + kAhead + line, /*write=*/1);
    }
  }

  // Rectifies elements [begin, end) and calls visit(slots, n) for each n of them.
  template <Counted kWhen, class Binner, class Between, class Visit>
  [[gnu::always_inline]] inline void for_each_span(const Binner& binner, int64_t begin, int64_t end,
                                                   const Between& between, const Visit& visit) {
    int64_t i = begin;
    for (; i + kSpan <= end; i += kSpan) {
      fetch_ahead(i);
      count_and_rectify<kWhen>(binner, x_ + i, y_ + i, kSpan, between, visit);
    }
    if (i == end) return;
    with_padded(i, end - i, [&](Bits* span, int64_t n) {
      count_and_rectify<kWhen>(binner, span, span, n, between, visit);
    });
  }

  // A span, of which n elements are the tensor's. Slots are found before elements are rectified,
  // because y may be x.
  template <Counted kWhen, class Binner, class Between, class Visit>
  [[gnu::always_inline]] inline void count_and_rectify(const Binner& binner, const Bits* x, Bits* y,
                                                       int64_t n, const Between& between,
                                                       const Visit& visit) {
    SpanSlots slots;
    find_slots<Format>(binner, x, slots, between);
    const uint8_t* const kept = mask_.next(n);
    if (kept == nullptr) [[likely]] {
      if constexpr (kWhen == Counted::kBefore) visit(slots, n);
      rectifier_.rectify(x, y, n);
      if constexpr (kWhen == Counted::kAfter) visit(slots, n);
      return;
    }
    // What is not kept is counted in slot 0.
    int32_t each[kSpan];
    write_slots(slots, each);
    for (int64_t i = 0; i < kSpan; ++i) each[i] = kept[i] != 0 ? each[i] : 0;
    read_slots(each, slots);
    visit(slots, n);
    rectifier_.rectify_kept(x, y, n, kept);
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
    memcpy(y_ + begin, span, n * sizeof(Bits));
  }

  const CountingReluShare& share_;
  const Bits* const x_;
  Bits* const y_;
  Rectifier rectifier_;
  uint32_t* const tally_scratch_;
  MaskSpans mask_;
};

template <class Format, class Rectifier>
void count_with(const CountingReluShare& share, Rectifier rectifier, uint32_t* tally_scratch) {
  Loop<Format, Rectifier> loop(share, rectifier, tally_scratch);
  run_with_bins<Format>(share, loop);
}

}  // namespace

void counting_relu_share(const CountingReluShare& share) {
  const Tiling tiling =
      make_tiling(share.units, share.inner, share.bins, static_cast<Binning>(share.binning), false);
  with_format(share.dtype, [&]<class Format>() {
    uint32_t* const tally_scratch = share.scratch + tiling.column_words;
    if (share.by_strips) {
      UnitColumns<Format> loop(share, tally_scratch);
      run_with_bins<Format>(share, loop);
    } else if (tiling.columns > 0) {
      count_with<Format>(share, ColumnRectifier<Format>(share, tiling.columns), tally_scratch);
    } else {
      count_with<Format>(share, RowRectifier<Format>(share), tally_scratch);
    }
  });
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
