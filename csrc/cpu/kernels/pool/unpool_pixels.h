#pragma once

#include "cpu/kernels/common/row_walk.h"
#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/pool/gather_cells.h"
#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/unpool_plan.h"
#include "pool/unpooled_cells.h"
#include "pool/window.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The loop over channels_last pixels.
template <class Format, class Offset, template <class, class> class Cells>
class UnpoolPixels {
 public:
  using Bits = typename Format::Bits;

  explicit UnpoolPixels(const MaxUnpoolShare& share)
      : share_(share),
        pooling_(share.pooling),
        y_(static_cast<const Bits*>(share.y)),
        offsets_(static_cast<const Offset*>(share.offsets)),
        x_(static_cast<Bits*>(share.x)) {
    const PixelPlan plan(pooling_);
    near_ = part_of<Range>(share.scratch, plan.near);
    covers_ = part_of<Cover>(share.scratch, plan.covers);
  }

  void run() {
    const Window& w = pooling_.w;
    const int64_t channels = share_.channels;
    // A division for every pixel would be slow.
    for (int64_t i = 0; i < w.input; ++i) near_[i] = w.windows_near(i);
    int64_t column = share_.begin % w.input;
    int64_t pixel = share_.begin;
    for (RowWalk walk(pooling_.d.input, pooling_.h.input, share_.begin / w.input);
         pixel < share_.end; walk.next()) {
      const Range near_d = pooling_.d.windows_near(walk.d);
      const Range near_h = pooling_.h.windows_near(walk.h);
      for (; column < w.input && pixel < share_.end; ++column, ++pixel) {
        int64_t covers = 0;
        pooling_.d.for_each_cover(walk.d, near_d, [&](int64_t o_d, int64_t tap_d) {
          pooling_.h.for_each_cover(walk.h, near_h, [&](int64_t o_h, int64_t tap_h) {
            const int64_t row = walk.plane * pooling_.outputs() + pooling_.window(o_d, o_h, 0);
            w.for_each_cover(column, near_[column], [&](int64_t o_w, int64_t tap_w) {
              covers_[covers].window = (row + o_w) * channels;
              covers_[covers].switches[0] = pooling_.row_switch(tap_d, tap_h) + tap_w;
              ++covers;
            });
          });
        });
        constexpr int kFull = kFullLanes<typename Cells<Format, Single>::Element>;
        for_each_vector<2 * kFull>(channels, [&]<int kWidth>(int64_t channel) {
          constexpr int kLanes = kWidth < kFull ? kWidth : kFull;
          constexpr int kVectors = kWidth / kLanes;
          const auto cells = gather<Cells<Format, Lanes<kLanes>>, kLanes, 1, kVectors>(
              y_ + channel, offsets_ + channel, covers_, covers);
          for (int v = 0; v < kVectors; ++v) {
            store(cells.of[0][v], x_ + pixel * channels + channel + v * kLanes);
          }
        });
      }
      column = 0;
    }
  }

 private:
  const MaxUnpoolShare& share_;
  const Pooling pooling_;
  const Bits* const y_;
  const Offset* const offsets_;
  Bits* const x_;
  Range* near_;
  Cover* covers_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
