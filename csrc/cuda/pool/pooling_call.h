#pragma once

#include <cstdint>
#include <initializer_list>

#include "common/dtype.h"
#include "pool/window.h"

namespace relustat::cuda {

// 32-bit indices must hold all intermediate results: positions after the last one, and cells of
// windows beyond the input.
constexpr int64_t kMostNarrowPositions = int64_t{1} << 30;

// The arguments of all pooling kernels.
struct PoolingCall {
  Dtype dtype;
  bool wide_offsets;
  PoolingNumbers pooling;
  int64_t planes;    // [batch, channels], or the batch alone if channels are last
  int64_t channels;  // side by side at each position: 1 in contiguous planes
  int64_t most_narrow_positions = kMostNarrowPositions;  // fewer in tests

  // The number of elements of the larger of input and output.
  int64_t positions() const {
    const Pooling both(pooling);
    const int64_t in_plane = both.inputs() > both.outputs() ? both.inputs() : both.outputs();
    return planes * in_plane * channels;
  }

  bool fits_narrow_index() const {
    for (const WindowNumbers& numbers : {pooling.d, pooling.h, pooling.w}) {
      const Window window(numbers);
      if (window.stride >= kMostNarrowPositions || window.dilation >= kMostNarrowPositions)
        return false;
      const int64_t end = window.start(window.output) + window.reach() + window.stride;
      if (end >= kMostNarrowPositions) return false;
    }
    return positions() <= most_narrow_positions;
  }
};

// Calls run.operator()<Offset, Index>() for windows that the compiler does not know.
template <class Run>
void with_offset_and_index(const PoolingCall& call, const Run& run) {
  if (call.fits_narrow_index()) {
    call.wide_offsets ? run.template operator()<int16_t, int32_t>()
                      : run.template operator()<uint8_t, int32_t>();
  } else {
    call.wide_offsets ? run.template operator()<int16_t, int64_t>()
                      : run.template operator()<uint8_t, int64_t>();
  }
}

}  // namespace relustat::cuda
