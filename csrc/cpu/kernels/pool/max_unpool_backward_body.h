#pragma once

#include "common/with_format.h"
#include "cpu/kernels/common/row_walk.h"
#include "cpu/kernels/pool/max_unpool_backward.h"
#include "pool/unpool_winner.h"
#include "pool/window.h"

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
    const UnpoolWinner<Format, Offset, int64_t> winner{pooling_, y_, offsets_, channels,
                                                       share_.overlap};
    for (RowWalk walk(pooling_.d.output, pooling_.h.output, share_.begin); walk.row < share_.end;
         walk.next()) {
      int64_t i = walk.row * pooling_.w.output * channels;
      for (int64_t o = 0; o < pooling_.w.output; ++o) {
        for (int64_t channel = 0; channel < channels; ++channel, ++i) {
          const TapPosition position = share_.positions[offsets_[i]];
          const PlaneCell<int64_t> cell{walk.plane, pooling_.d.cell(walk.d, position.d),
                                        pooling_.h.cell(walk.h, position.h),
                                        pooling_.w.cell(o, position.w), channel};
          const int64_t at = walk.plane * pooling_.inputs() + pooling_.cell(cell.d, cell.h, cell.w);
          const bool wins = !may_lose || winner.of(cell) == i;
          y_gradient[i] = wins ? gradient[at * channels + channel] : Bits{0};
        }
      }
    }
  }

 private:
  const MaxUnpoolBackwardShare& share_;
  const Pooling pooling_;
  const Bits* const y_;
  const Offset* const offsets_;
};

}  // namespace

void max_unpool_backward_share(const MaxUnpoolBackwardShare& share) {
  with_format(share.dtype, [&]<class Format>() {
    if (share.wide_offsets) {
      MaxUnpoolBackwardLoop<Format, int16_t>(share).run();
    } else {
      MaxUnpoolBackwardLoop<Format, uint8_t>(share).run();
    }
  });
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
