#pragma once

#include "../window.h"

namespace relustat::cuda {

// 32-bit indices must hold whatever is computed with them: places after the last one, and cells
// beyond the input that a window would have.
constexpr int64_t kMostNarrowPlaces = int64_t{1} << 30;

// `places`: elements of the larger tensor. Tests allow fewer.
inline bool fits_narrow_index(const PoolingNumbers& pooling, int64_t places, int64_t most_places) {
  for (const WindowNumbers& numbers : {pooling.d, pooling.h, pooling.w}) {
    const Window window(numbers);
    if (window.stride >= kMostNarrowPlaces || window.dilation >= kMostNarrowPlaces) return false;
    const int64_t end = window.start(window.output) + window.reach() + window.stride;
    if (end >= kMostNarrowPlaces) return false;
  }
  return places < most_places;
}

}  // namespace relustat::cuda
