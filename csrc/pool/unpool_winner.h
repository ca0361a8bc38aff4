#pragma once

#include "pool/largest.h"
#include "pool/window.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

// A cell of a plane, or of an image whose channels are last.
template <class Index>
struct PlaneCell {
  Index plane, d, h, w, channel;
};

// Decides which of the values of one cell stays there.
template <class Format, class Offset, class Index>
struct UnpoolWinner {
  using Bits = typename Format::Bits;

  const BasicPooling<Index>& pooling;
  const Bits* y;  // needed by Overlap::kMax alone
  const Offset* offsets;
  Index channels;  // 1: of contiguous planes
  Overlap overlap;

  // The position of that value; -1 if there is none.
  RELUSTAT_HOST_DEVICE Index of(const PlaneCell<Index>& cell) const {
    constexpr auto kNegativeInfinity = static_cast<Bits>(Format::kSign | Format::kInfinity);
    Index winner = -1;
    Largest<Format, Single> largest;
    largest.begin(kNegativeInfinity, 0);
    const auto near_d = pooling.d.windows_near(cell.d);
    const auto near_h = pooling.h.windows_near(cell.h);
    const auto near_w = pooling.w.windows_near(cell.w);
    pooling.d.for_each_cover(cell.d, near_d, [&](Index o_d, Index tap_d) {
      pooling.h.for_each_cover(cell.h, near_h, [&](Index o_h, Index tap_h) {
        pooling.w.for_each_cover(cell.w, near_w, [&](Index o_w, Index tap_w) {
          const Index window = cell.plane * pooling.outputs() + pooling.window(o_d, o_h, o_w);
          const Index i = window * channels + cell.channel;
          if (offsets[i] != pooling.row_switch(tap_d, tap_h) + tap_w) return;
          const bool takes_over = overlap == Overlap::kLast || largest.offer(y[i], 0);
          if (takes_over || winner < 0) winner = i;
        });
      });
    });
    return winner;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
