#pragma once

#include "cuda/common/divider.h"
#include "pool/unpool_winner.h"

namespace relustat::cuda {

// A switch has a position: [plane, d, h, w, channel].
template <class Index>
struct TapDividers {
  Divider<Index> d;
  Divider<Index> h;
  Divider<Index> w;
  Divider<Index> channels;
  Divider<Index> tap_h;
  Divider<Index> tap_w;

  TapDividers(const PoolingNumbers& pooling, int64_t channels)
      : d(pooling.d.output),
        h(pooling.h.output),
        w(pooling.w.output),
        channels(channels),
        tap_h(pooling.h.kernel),
        tap_w(pooling.w.kernel) {}
};

// The cell of a switch, if it has one.
template <class Index>
struct Tap {
  PlaneCell<Index> cell;
  bool is_cell;

  RELUSTAT_HOST_DEVICE Tap(Index position, Index offset, const BasicPooling<Index>& pooling,
                           const TapDividers<Index>& dividers) {
    const bool is_tap = 0 <= offset && offset < pooling.taps();
    const Split<Index> channel(position, dividers.channels);
    const Split<Index> w(channel.rest, dividers.w);
    const Split<Index> h(w.rest, dividers.h);
    const Split<Index> d(h.rest, dividers.d);
    const Split<Index> tap_w(is_tap ? offset : 0, dividers.tap_w);
    const Split<Index> tap_h(tap_w.rest, dividers.tap_h);
    cell = {d.rest, pooling.d.cell(d.last, tap_h.rest), pooling.h.cell(h.last, tap_h.last),
            pooling.w.cell(w.last, tap_w.last), channel.last};
    is_cell = is_tap && is_inside(pooling.d, cell.d) && is_inside(pooling.h, cell.h) &&
              is_inside(pooling.w, cell.w);
  }

 private:
  static RELUSTAT_HOST_DEVICE bool is_inside(const BasicWindow<Index>& window, Index cell) {
    return 0 <= cell && cell < window.input;
  }
};

}  // namespace relustat::cuda
