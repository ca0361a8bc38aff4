// The CPU loop of counting_relu. Included once per instruction set, after RELUSTAT_ISA is set.
// Torch-free and STL-free: nothing here may be shared with a file compiled for another one.

#include <cstdint>

#include "../../binning.h"
#include "../../with_format.h"
#include "counting_relu.h"
#include "find_slots.h"
#include "rectify.h"
#include "tally.h"
#include "tiling.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Scratch counts are 32-bit: they are flushed long before they could overflow.
constexpr int64_t kFlushEvery = int64_t{1} << 30;
// Elements whose slots are held at a time: inputs, outputs and slots stay in the L1 cache.
constexpr int64_t kBlock = 1024;

// Calls visit(unit, offset, length) for each run of one unit among elements [begin, begin + n).
template <class Visit>
void for_each_run(const CountingReluShare& share, int64_t begin, int64_t n, Visit visit) {
  int64_t unit = begin / share.inner % share.units;
  int64_t left_in_run = share.inner - begin % share.inner;
  for (int64_t offset = 0; offset < n;) {
    const int64_t length = left_in_run < n - offset ? left_in_run : n - offset;
    visit(unit, offset, length);
    offset += length;
    unit = unit + 1 < share.units ? unit + 1 : 0;
    left_in_run = share.inner;
  }
}

template <class Format>
class Loop {
 public:
  using Bits = typename Format::Bits;

  explicit Loop(const CountingReluShare& share)
      : share_(share),
        tiling_(make_tiling(share.units, share.inner, share.bins)),
        x_(static_cast<const Bits*>(share.x)),
        y_(static_cast<Bits*>(share.y)),
        column_zeros_(share.scratch),
        lanes_(share.scratch + tiling_.columns) {}

  // find(x, n, slots) fills in the slots of n elements.
  template <class Find>
  void run(Find find) const {
    for_each_block([&](int64_t begin, int64_t n) {
      uint16_t slots[kBlock];
      find(x_ + begin, n, slots);
      rectify_block(begin, n);
      count_slots(begin, n, slots);
    });
  }

  void run_without_bins() const {
    for_each_block([&](int64_t begin, int64_t n) {
      share_.histogram[0] += count_nans<Format>(x_ + begin, n);
      rectify_block(begin, n);
    });
  }

 private:
  template <class Visit>
  void for_each_block(Visit visit) const {
    for (int64_t begin = share_.begin; begin < share_.end; begin += kFlushEvery) {
      const int64_t end = begin + kFlushEvery < share_.end ? begin + kFlushEvery : share_.end;
      for (int64_t block = begin; block < end; block += kBlock) {
        visit(block, kBlock < end - block ? kBlock : end - block);
      }
      flush_columns(column_zeros_, tiling_.columns, share_.units, share_.inner, share_.zeros);
      if (share_.bins > 0 && !share_.unit_histograms) {
        flush_lanes(lanes_, tiling_.lane_stride, slot_count(share_.bins), share_.histogram);
      }
    }
  }

  void rectify_block(int64_t begin, int64_t n) const {
    if (tiling_.columns == 0) {
      for_each_run(share_, begin, n, [&](int64_t unit, int64_t offset, int64_t length) {
        share_.zeros[unit] += rectify_row<Format>(x_ + begin + offset, y_ + begin + offset, length);
      });
      return;
    }
    int64_t column = begin % tiling_.columns;
    for (int64_t offset = 0; offset < n;) {
      const int64_t left = tiling_.columns - column;
      const int64_t length = left < n - offset ? left : n - offset;
      rectify_columns<Format>(x_ + begin + offset, y_ + begin + offset, length,
                              column_zeros_ + column);
      offset += length;
      column = 0;
    }
  }

  void count_slots(int64_t begin, int64_t n, const uint16_t* slots) const {
    const Bits* const next_x = x_ + begin + n;
    const Bits* const next_y = y_ + begin + n;
    if (!share_.unit_histograms) {
      tally(slots, n, lanes_, tiling_.lane_stride, next_x, next_y);
      return;
    }
    const int64_t width = slot_count(share_.bins);
    for_each_run(share_, begin, n, [&](int64_t unit, int64_t offset, int64_t length) {
      int64_t* const row = share_.histogram + unit * width;
      if (length > 2 * width) {
        tally(slots + offset, length, lanes_, tiling_.lane_stride, next_x + offset,
              next_y + offset);
        flush_lanes(lanes_, tiling_.lane_stride, width, row);
      } else {
        for (int64_t i = offset; i < offset + length; ++i) ++row[slots[i]];
      }
    });
  }

  const CountingReluShare& share_;
  const Tiling tiling_;
  const Bits* const x_;
  Bits* const y_;
  uint32_t* const column_zeros_;
  uint32_t* const lanes_;
};

template <class Format>
void count_in_format(const CountingReluShare& share) {
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;
  const Loop<Format> loop(share);
  const auto search = [&] {
    const SearchBinner<Value> binner{share.edges, static_cast<int32_t>(share.bins)};
    loop.run([&](const Bits* x, int64_t n, uint16_t* slots) {
      find_searched_slots<Format>(binner, x, n, slots);
    });
  };
  switch (static_cast<Binning>(share.binning)) {
    case Binning::kNone:
      loop.run_without_bins();
      break;
    case Binning::kSearch:
      search();
      break;
    case Binning::kLinear: {
      const auto binner = LinearBinner<Value>::make(share.edges, share.bins);
      if (!binner.guesses_within_one()) {
        search();
        break;
      }
      loop.run([&](const Bits* x, int64_t n, uint16_t* slots) {
        find_linear_slots<Format>(binner, x, n, slots);
      });
      break;
    }
    case Binning::kLog: {
      const auto binner = LogBinner<Value>::make(share.edges, share.bins);
      loop.run([&](const Bits* x, int64_t n, uint16_t* slots) {
        find_slots<LogBinner<Value>, Format>(binner, x, n, slots);
      });
      break;
    }
  }
}

void count_share(const CountingReluShare& share) {
  with_format(share.dtype, [&]<class Format>() { count_in_format<Format>(share); });
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
