#pragma once

#include <cstdint>

#include "pool/window.h"

namespace relustat::cpu {

// The tap of a switch.
struct TapPosition {
  int16_t d;
  int16_t h;
  int16_t w;
};

inline namespace RELUSTAT_ISA {

// positions: [taps]. A division for every switch would be slow.
inline void find_tap_positions(const Pooling& pooling, TapPosition* positions) {
  for (int64_t d = 0; d < pooling.d.kernel; ++d) {
    for (int64_t h = 0; h < pooling.h.kernel; ++h) {
      for (int64_t w = 0; w < pooling.w.kernel; ++w) {
        *positions++ = {static_cast<int16_t>(d), static_cast<int16_t>(h), static_cast<int16_t>(w)};
      }
    }
  }
}

// How far the cell of a tap lies behind that of the window's first one.
inline int64_t step_of(const Pooling& pooling, TapPosition at) {
  return pooling.cell(at.d * pooling.d.dilation, at.h * pooling.h.dilation,
                      at.w * pooling.w.dilation);
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
