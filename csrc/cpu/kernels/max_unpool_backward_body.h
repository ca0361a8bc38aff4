#pragma once

#include "../../largest.h"
#include "../../window.h"
#include "max_unpool_backward.h"
#include "row_walk.h"
#include "with_format.h"

// The CPU loop of max_unpool's backward. Included once per instruction set; torch-free and
// STL-free.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

template <class Format, class Offset>
class MaxUnpoolBackwardLoop {
 public:
  using Bits = typename Format::Bits;

  explicit MaxUnpoolBackwardLoop(const MaxUnpoolBackwardShare& share)
      : share_(share),
        pooling_(share.pooling),
        y_(static_cast<const Bits*>(share.y)),
        offsets_(static_cast<const Offset*>(share.offsets)) {}

  void run() const {
    const auto* const gradient = static_cast<const Bits*>(share_.gradient);
    auto* const y_gradient = static_cast<Bits*>(share_.y_gradient);
    const bool may_lose = share_.overlap != Overlap::kSum && pooling_.overlaps();
    const int64_t channels = share_.channels;
    for (RowWalk walk(pooling_.d.output, pooling_.h.output, share_.begin); walk.row < share_.end;
         walk.next()) {
      int64_t i = walk.row * pooling_.w.output * channels;
      for (int64_t o = 0; o < pooling_.w.output; ++o) {
        for (int64_t channel = 0; channel < channels; ++channel, ++i) {
          const TapPlace place = share_.places[offsets_[i]];
          const Cell cell{walk.plane, pooling_.d.cell(walk.d, place.d),
                          pooling_.h.cell(walk.h, place.h), pooling_.w.cell(o, place.w), channel};
          const int64_t at = walk.plane * pooling_.inputs() + pooling_.cell(cell.d, cell.h, cell.w);
          const bool wins = !may_lose || winner_of(cell) == i;
          y_gradient[i] = wins ? gradient[at * channels + channel] : Bits{0};
        }
      }
    }
  }

 private:
  struct Cell {
    int64_t plane, d, h, w, channel;
  };

  // Which of the values that point at the cell stays there.
  int64_t winner_of(const Cell& cell) const {
    constexpr auto kNegativeInfinity = static_cast<Bits>(Format::kSign | Format::kInfinity);
    int64_t winner = -1;
    Largest<Format, Single> largest;
    largest.begin(kNegativeInfinity, 0);
    const Range near_d = pooling_.d.windows_near(cell.d);
    const Range near_h = pooling_.h.windows_near(cell.h);
    const Range near_w = pooling_.w.windows_near(cell.w);
    pooling_.d.for_each_cover(cell.d, near_d, [&](int64_t o_d, int64_t tap_d) {
      pooling_.h.for_each_cover(cell.h, near_h, [&](int64_t o_h, int64_t tap_h) {
        pooling_.w.for_each_cover(cell.w, near_w, [&](int64_t o_w, int64_t tap_w) {
          const int64_t window = cell.plane * pooling_.outputs() + pooling_.window(o_d, o_h, o_w);
          const int64_t i = window * share_.channels + cell.channel;
          if (offsets_[i] != pooling_.row_switch(tap_d, tap_h) + tap_w) return;
          const bool takes_over = share_.overlap == Overlap::kLast || largest.offer(y_[i], 0);
          if (takes_over || winner < 0) winner = i;
        });
      });
    });
    return winner;
  }

  const MaxUnpoolBackwardShare& share_;
  const Pooling pooling_;
  const Bits* const y_;
  const Offset* const offsets_;
};

void max_unpool_backward_share(const MaxUnpoolBackwardShare& share) {
  with_format(share.dtype, [&]<class Format>() {
    if (share.wide_offsets) {
      MaxUnpoolBackwardLoop<Format, int16_t>(share).run();
    } else {
      MaxUnpoolBackwardLoop<Format, uint8_t>(share).run();
    }
  });
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
