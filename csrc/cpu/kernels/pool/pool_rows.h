#pragma once

#include "cpu/kernels/common/row_walk.h"
#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/pool/max_pool.h"
#include "cpu/kernels/pool/pool_plan.h"
#include "pool/largest.h"
#include "pool/window.h"

// Part of max_pool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Rows of windows of contiguous planes, and pixels of channels.
template <class Format, class Offset>
class PoolRows {
 public:
  using Bits = typename Format::Bits;

  explicit PoolRows(const MaxPoolShare& share)
      : share_(share),
        pooling_(share.pooling),
        x_(static_cast<const Bits*>(share.x)),
        y_(static_cast<Bits*>(share.y)),
        offsets_(static_cast<Offset*>(share.offsets)),
        tap_rows_(static_cast<TapRow*>(share.scratch)) {}

  void run() {
    if (share_.channels > 0) {
      pool_pixels();
    } else if (pooling_.w.stride == 1) {
      pool_rows<1>();
    } else if (pooling_.w.stride == 2) {
      pool_rows<2>();
    } else {
      pool_rows<0>();
    }
  }

 private:
  // Windows whose first taps' cells lie kStep apart (0: `step`), one in each of kWidth lanes.
  // `cell`: where tap 0 of the first one would be in its row; `to`: its position in the output.
  template <int kWidth, int kStep>
  void pool(int64_t cell, int64_t step, Range taps, int64_t tap_step, int64_t to) {
    constexpr int kLanes = kWidth < kFullLanes<Bits> ? kWidth : kFullLanes<Bits>;
    constexpr int kVectors = kWidth / kLanes;
    const auto switch_of = [&](int64_t row, int64_t tap) {
      return splat<Bits, kLanes>(static_cast<Bits>(tap_rows_[row].first_switch + tap));
    };
    constexpr auto kNegativeInfinity = static_cast<Bits>(Format::kSign | Format::kInfinity);
    Largest<Format, Lanes<kLanes>> largest[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      largest[v].begin(splat<Bits, kLanes>(kNegativeInfinity), switch_of(0, taps.begin));
    }
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t first = tap_rows_[row].cell + cell;
      for (int64_t tap = taps.begin; tap < taps.end; ++tap) {
        const auto here = switch_of(row, tap);
        const Bits* const x = x_ + (first + tap * tap_step);
        for (int v = 0; v < kVectors; ++v) {
          largest[v].offer(load_every<kLanes, kStep>(x + v * kLanes * step, step), here);
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const auto positions = __builtin_convertvector(largest[v].position, Vector<Offset, kLanes>);
      store(largest[v].bits, y_ + to + v * kLanes);
      store(positions, offsets_ + to + v * kLanes);
    }
  }

  // The rows of cells that window row (o_d, o_h) sees. `scale`: number of elements of a cell.
  void find_tap_rows(int64_t plane, int64_t o_d, int64_t o_h, int64_t scale) {
    const Range taps_d = pooling_.d.taps_inside(o_d);
    const Range taps_h = pooling_.h.taps_inside(o_h);
    rows_ = 0;
    for (int64_t d = taps_d.begin; d < taps_d.end; ++d) {
      for (int64_t h = taps_h.begin; h < taps_h.end; ++h) {
        const int64_t cell = pooling_.cell(pooling_.d.cell(o_d, d), pooling_.h.cell(o_h, h), 0);
        tap_rows_[rows_++] = {(plane * pooling_.inputs() + cell) * scale - share_.first_cell,
                              pooling_.row_switch(d, h)};
      }
    }
  }

  template <int kStep>
  void pool_rows() {
    const Window& w = pooling_.w;
    const Range whole = w.whole_windows();
    for (RowWalk walk(pooling_.d.output, pooling_.h.output, share_.begin); walk.row < share_.end;
         walk.next()) {
      find_tap_rows(walk.plane, walk.d, walk.h, 1);
      const int64_t to = walk.row * w.output;
      const auto pool_one = [&](int64_t o) {
        pool<1, 1>(w.start(o), 1, w.taps_inside(o), w.dilation, to + o);
      };
      for (int64_t o = 0; o < whole.begin; ++o) pool_one(o);
      for_each_vector<kStrip<Bits, kStep>>(whole.size(), [&]<int kWidth>(int64_t i) {
        const int64_t o = whole.begin + i;
        pool<kWidth, kStep>(w.start(o), w.stride, {0, w.kernel}, w.dilation, to + o);
      });
      for (int64_t o = whole.end; o < w.output; ++o) pool_one(o);
    }
  }

  void pool_pixels() {
    const Window& w = pooling_.w;
    const int64_t channels = share_.channels;
    const int64_t tap_step = w.dilation * channels;
    int64_t column = share_.begin % w.output;
    int64_t pixel = share_.begin;
    for (RowWalk walk(pooling_.d.output, pooling_.h.output, share_.begin / w.output);
         pixel < share_.end; walk.next()) {
      find_tap_rows(walk.plane, walk.d, walk.h, channels);
      for (; column < w.output && pixel < share_.end; ++column, ++pixel) {
        const Range taps = w.taps_inside(column);
        for_each_vector<kStrip<Bits, 1>>(channels, [&]<int kWidth>(int64_t channel) {
          pool<kWidth, 1>(w.start(column) * channels + channel, 1, taps, tap_step,
                          pixel * channels + channel);
        });
      }
      column = 0;
    }
  }

  const MaxPoolShare& share_;
  const Pooling pooling_;
  const Bits* const x_;
  Bits* const y_;
  Offset* const offsets_;
  TapRow* const tap_rows_;
  int64_t rows_ = 0;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
