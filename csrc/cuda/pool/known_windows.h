#pragma once

#include "pool/window.h"

// Windows that the compiler knows: a kernel sets their numbers, and divisions become shifts.

namespace relustat::cuda {

struct AnyWindows {
  static constexpr int most_near(int) { return 0; }
  template <class Index>
  static RELUSTAT_HOST_DEVICE void set(BasicPooling<Index>&) {}
};

// Square windows over planes. kStride 0: any stride.
template <int kSide, int kStride>
struct SquareWindows {
  template <class Index>
  static RELUSTAT_HOST_DEVICE void set(BasicPooling<Index>& pooling) {
    pooling.d.input = pooling.d.output = pooling.d.kernel = pooling.d.stride = 1;
    pooling.d.padding = 0;
    pooling.h.kernel = pooling.w.kernel = kSide;
    pooling.d.dilation = pooling.h.dilation = pooling.w.dilation = 1;
    if constexpr (kStride > 0) pooling.h.stride = pooling.w.stride = kStride;
  }

  // The largest number of windows with taps at this number of neighbouring cells of a row; 0: it is
  // not known.
  static constexpr int most_near(int cells) {
    return kStride > 0 ? (cells + kSide - 2) / (kStride > 0 ? kStride : 1) + 1 : 0;
  }

  static bool fits(const PoolingNumbers& pooling) {
    return pooling.d.input == 1 && pooling.d.kernel == 1 && is_known(pooling.h) &&
           is_known(pooling.w);
  }

 private:
  static bool is_known(const WindowNumbers& window) {
    return window.kernel == kSide && window.dilation == 1 &&
           (kStride == 0 || window.stride == kStride);
  }
};

}  // namespace relustat::cuda
