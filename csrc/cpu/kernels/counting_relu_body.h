// The CPU loop of counting_relu. Included once per instruction set, after RELUSTAT_ISA is set.
// Torch-free and STL-free: nothing here may be shared with a file compiled for another one.

#include <cstdint>
#include <cstring>

#include "../../binning.h"
#include "../../with_format.h"
#include "counting_relu.h"
#include "find_slots.h"
#include "rectify.h"
#include "span.h"
#include "tally.h"
#include "tiling.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// How far ahead memory is fetched: counting leaves it idle.
constexpr int64_t kFetchAheadBytes = 4096;
constexpr int64_t kCacheLineBytes = 64;

template <class Format, class Rectifier>
class Loop {
 public:
  using Bits = typename Format::Bits;

  Loop(const CountingReluShare& share, Rectifier rectifier, uint32_t* tally_scratch)
      : share_(share),
        x_(static_cast<const Bits*>(share.x)),
        y_(static_cast<Bits*>(share.y)),
        rectifier_(rectifier),
        tally_scratch_(tally_scratch) {}

  template <class Binner>
  void run(const Binner& binner) {
    if (share_.unit_histograms) {
      count_by_units(binner);
    } else {
      count(binner, share_.begin, share_.end, share_.histogram);
    }
    rectifier_.finish();
  }

  void run_without_bins() {
    const int64_t whole = share_.end - (share_.end - share_.begin) % kSpan;
    for (int64_t i = share_.begin; i < whole; i += kSpan) {
      share_.histogram[0] += count_nans<Format>(x_ + i);
      rectifier_.rectify(x_ + i, y_ + i, kSpan);
    }
    if (whole < share_.end) {
      with_padded(whole, share_.end - whole,
                  [&](const Bits* span) { share_.histogram[0] += count_nans<Format>(span); });
    }
    rectifier_.finish();
  }

 private:
  // A histogram for each unit: run by run.
  template <class Binner>
  void count_by_units(const Binner& binner) {
    int64_t unit = share_.begin / share_.inner % share_.units;
    int64_t left_in_run = share_.inner - share_.begin % share_.inner;
    for (int64_t begin = share_.begin; begin < share_.end;) {
      const int64_t left = share_.end - begin;
      const int64_t end = begin + (left_in_run < left ? left_in_run : left);
      count(binner, begin, end, share_.histogram + unit * slot_count(share_.bins));
      begin = end;
      unit = unit + 1 < share_.units ? unit + 1 : 0;
      left_in_run = share_.inner;
    }
  }

  template <class Binner>
  void count(const Binner& binner, int64_t begin, int64_t end, int64_t* histogram) {
    const int64_t slots = slot_count(share_.bins);
    switch (tallying(slots, end - begin)) {
      case Tallying::kPairs: {
        auto* const table = reinterpret_cast<uint16_t*>(tally_scratch_);
        count_spans(binner, begin, end, Tally(PairCounter{table, slots, histogram}), histogram);
        break;
      }
      case Tallying::kLanes:
        count_spans(binner, begin, end, Tally(LaneCounter{tally_scratch_, slots, histogram}),
                    histogram);
        break;
      case Tallying::kOneByOne:
        for (int64_t i = begin; i < end; i += kSpan) {
          count_part(binner, i, kSpan < end - i ? kSpan : end - i, histogram);
        }
        break;
    }
  }

  template <class Binner, class Tally>
  void count_spans(const Binner& binner, int64_t begin, int64_t end, Tally tally,
                   int64_t* histogram) {
    constexpr int64_t kAhead = kFetchAheadBytes / sizeof(Bits);
    int64_t i = begin;
    for (; i + kSpan <= end; i += kSpan) {
      int32_t slots[kSpan];
      find_slots<Format>(binner, x_ + i, slots);
      rectifier_.rectify(x_ + i, y_ + i, kSpan);
      for (int64_t line = 0; line < kSpan; line += kCacheLineBytes / sizeof(Bits)) {
        __builtin_prefetch(x_ + i + kAhead + line, /*write=*/0);
        __builtin_prefetch(y_ + i + kAhead + line, /*write=*/1);
      }
      tally.add(slots);
    }
    tally.flush();
    if (i < end) count_part(binner, i, end - i, histogram);
  }

  template <class Binner>
  void count_part(const Binner& binner, int64_t begin, int64_t n, int64_t* histogram) {
    with_padded(begin, n, [&](const Bits* span) {
      int32_t slots[kSpan];
      find_slots<Format>(binner, span, slots);
      for (int64_t i = 0; i < n; ++i) ++histogram[slots[i]];
    });
  }

  // Fewer elements than a span are made one with numbers that are neither zero nor NaN. They are
  // looked at before they are rectified, as y may be x.
  template <class Look>
  void with_padded(int64_t begin, int64_t n, const Look& look) {
    Bits span[kSpan];
    for (Bits& bits : span) bits = Format::kInfinity;
    memcpy(span, x_ + begin, n * sizeof(Bits));
    look(span);
    rectifier_.rectify(span, span, n);
    memcpy(y_ + begin, span, n * sizeof(Bits));
  }

  const CountingReluShare& share_;
  const Bits* const x_;
  Bits* const y_;
  Rectifier rectifier_;
  uint32_t* const tally_scratch_;
};

template <class Format, class Rectifier>
void count_with(const CountingReluShare& share, Rectifier rectifier, uint32_t* tally_scratch) {
  using Value = typename Format::Value;
  Loop<Format, Rectifier> loop(share, rectifier, tally_scratch);
  const SearchBinner<Value> search{share.edges, static_cast<int32_t>(share.bins)};
  switch (static_cast<Binning>(share.binning)) {
    case Binning::kNone:
      loop.run_without_bins();
      break;
    case Binning::kSearch:
      loop.run(search);
      break;
    case Binning::kLinear: {
      const auto binner = LinearBinner<Value>::make(share.edges, share.bins);
      binner.guesses_within_one ? loop.run(binner) : loop.run(search);
      break;
    }
    case Binning::kLog:
      loop.run(LogBinner<Value>::make(share.edges, share.bins));
      break;
  }
}

void count_share(const CountingReluShare& share) {
  const Tiling tiling = make_tiling(share.units, share.inner, share.bins);
  with_format(share.dtype, [&]<class Format>() {
    uint32_t* const tally_scratch = share.scratch + tiling.column_words;
    if (tiling.columns > 0) {
      count_with<Format>(share, ColumnRectifier<Format>(share, tiling.columns), tally_scratch);
    } else {
      count_with<Format>(share, RowRectifier<Format>(share), tally_scratch);
    }
  });
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
