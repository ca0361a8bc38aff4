// The CPU loop of counting_relu. Included once per instruction set, after RELUSTAT_ISA is set.
// Torch-free and STL-free: nothing here may be shared with a file compiled for another one.

#include <cstdint>
#include <cstring>

#include "../../binning.h"
#include "counting_relu.h"
#include "tiling.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Scratch counts are 32-bit: they are flushed long before they could overflow.
constexpr int64_t kFlushEvery = int64_t{1} << 30;
// Elements whose slots are held at a time: inputs, outputs and slots stay in the L1 cache.
constexpr int64_t kBlock = 1024;
// Elements that are searched, or looked at again, together.
constexpr int64_t kSpan = 64;

template <class Binner, class Format>
void find_slots(const Binner& binner, const typename Format::Bits* x, int64_t n, uint16_t* slots) {
  for (int64_t i = 0; i < n; ++i) {
    slots[i] = static_cast<uint16_t>(binner.slot(Format::value(x[i])));
  }
}

// All elements of a span take each step of the binary search together, so that none waits for its
// own last step.
template <class Format>
void find_searched_slots(const SearchBinner<typename Format::Value>& binner,
                         const typename Format::Bits* x, int64_t n, uint16_t* slots) {
  using Value = typename Format::Value;
  for (int64_t start = 0; start < n; start += kSpan) {
    const int64_t length = kSpan < n - start ? kSpan : n - start;
    Value values[kSpan];
    int32_t below[kSpan];
    for (int64_t i = 0; i < length; ++i) {
      values[i] = Format::value(x[start + i]);
      below[i] = 0;
    }
    for (int32_t size = binner.bins + 1; size > 0; size -= (size + 1) / 2) {
      const int32_t half = (size + 1) / 2;
      for (int64_t i = 0; i < length; ++i) below[i] = binner.step(values[i], below[i], half);
    }
    for (int64_t i = 0; i < length; ++i) {
      slots[start + i] = static_cast<uint16_t>(binner.finish(values[i], below[i]));
    }
  }
}

// Guesses first; a span in which a guess is doubtful is compared with its edges as a whole.
template <class Format>
void find_linear_slots(const LinearBinner<typename Format::Value>& binner,
                       const typename Format::Bits* x, int64_t n, uint16_t* slots) {
  for (int64_t start = 0; start < n; start += kSpan) {
    const int64_t stop = start + kSpan < n ? start + kSpan : n;
    int32_t doubtful = 0;
    for (int64_t i = start; i < stop; ++i) {
      const auto value = Format::value(x[i]);
      slots[i] = static_cast<uint16_t>(binner.guess(value));
      doubtful |= binner.is_doubtful(value) ? 1 : 0;
    }
    if (doubtful == 0) continue;
    // In 32 bits, the width in which the edges can be gathered.
    int32_t wide[kSpan];
    for (int64_t i = start; i < stop; ++i) wide[i - start] = slots[i];
    for (int64_t i = start; i < stop; ++i) {
      wide[i - start] = binner.repaired(Format::value(x[i]), wide[i - start]);
    }
    for (int64_t i = start; i < stop; ++i) slots[i] = static_cast<uint16_t>(wide[i - start]);
  }
}

// Rectifies n elements of one unit and returns how many outputs are zero.
template <class Format>
int64_t rectify_row(const typename Format::Bits* x, typename Format::Bits* y, int64_t n) {
  using Bits = typename Format::Bits;
  Bits zeros = 0;  // n <= kBlock fits
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = rectify<Format>(x[i]);
    y[i] = bits;
    zeros = static_cast<Bits>(zeros + (is_zero<Format>(bits) ? 1 : 0));
  }
  return static_cast<int64_t>(zeros);
}

// Rectifies n elements of n columns and adds each zero to its column's count.
template <class Format>
void rectify_columns(const typename Format::Bits* x, typename Format::Bits* y, int64_t n,
                     uint32_t* column_zeros) {
  for (int64_t i = 0; i < n; ++i) {
    const typename Format::Bits bits = rectify<Format>(x[i]);
    y[i] = bits;
    column_zeros[i] += is_zero<Format>(bits) ? 1 : 0;
  }
}

template <class Format>
int64_t count_nans(const typename Format::Bits* x, int64_t n) {
  using Bits = typename Format::Bits;
  Bits nans = 0;
  for (int64_t i = 0; i < n; ++i) nans = static_cast<Bits>(nans + (is_nan<Format>(x[i]) ? 1 : 0));
  return static_cast<int64_t>(nans);
}

// Counts n slots in kLanes histograms side by side: neighbouring elements often share a bin, and an
// increment must wait for the one before it in the same word. Slots are read four at a time.
//
// Counting leaves the memory idle, so the next block's inputs and outputs are fetched meanwhile.
template <class Bits>
void tally(const uint16_t* slots, int64_t n, uint32_t* lanes, int64_t stride, const Bits* next_x,
           const Bits* next_y) {
  constexpr int64_t kCacheLine = 64 / sizeof(Bits);
  int64_t i = 0;
  for (; i + kCacheLine <= n; i += kCacheLine) {
    __builtin_prefetch(next_x + i, /*write=*/0);
    __builtin_prefetch(next_y + i, /*write=*/1);
    for (int64_t j = i; j < i + kCacheLine; j += kLanes) {
      uint64_t low, high;
      memcpy(&low, slots + j, sizeof(low));
      memcpy(&high, slots + j + 4, sizeof(high));
      ++lanes[low & 0xffff];
      ++lanes[stride + (low >> 16 & 0xffff)];
      ++lanes[2 * stride + (low >> 32 & 0xffff)];
      ++lanes[3 * stride + (low >> 48)];
      ++lanes[4 * stride + (high & 0xffff)];
      ++lanes[5 * stride + (high >> 16 & 0xffff)];
      ++lanes[6 * stride + (high >> 32 & 0xffff)];
      ++lanes[7 * stride + (high >> 48)];
    }
  }
  for (; i < n; ++i) ++lanes[slots[i]];
}

void flush_lanes(uint32_t* lanes, int64_t stride, int64_t slots, int64_t* histogram) {
  for (int64_t s = 0; s < slots; ++s) {
    // All lanes together hold no more than kFlushEvery counts.
    uint32_t count = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) count += lanes[lane * stride + s];
    histogram[s] += count;
  }
  memset(lanes, 0, sizeof(*lanes) * kLanes * stride);
}

void flush_columns(uint32_t* column_zeros, int64_t columns, int64_t units, int64_t inner,
                   int64_t* zeros) {
  for (int64_t column = 0; column < columns;) {
    for (int64_t unit = 0; unit < units; ++unit) {
      for (int64_t i = 0; i < inner; ++i, ++column) {
        zeros[unit] += column_zeros[column];
        column_zeros[column] = 0;
      }
    }
  }
}

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
  switch (share.dtype) {
    case Dtype::kFloat32:
      return count_in_format<Float32>(share);
    case Dtype::kFloat64:
      return count_in_format<Float64>(share);
    case Dtype::kBFloat16:
      return count_in_format<BFloat16>(share);
    case Dtype::kFloat16:
      return count_in_format<Float16>(share);
  }
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
