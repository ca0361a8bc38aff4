#pragma once

#include "cuda/common/pack.h"
#include "cuda/pool/known_windows.h"
#include "cuda/pool/pooling_call.h"

namespace relustat::cuda {

struct MaxPoolCall : PoolingCall {
  const void* x;
  void* y;
  void* offsets;
  bool rectifies;  // x is rectified first
};

// Whether windows of 2 x 2 lie side by side, so that this number of neighbours is read in vectors.
inline bool are_vector_quads(const MaxPoolCall& call, int64_t outputs, int64_t element_size) {
  const WindowNumbers& h = call.pooling.h;
  const WindowNumbers& w = call.pooling.w;
  return SquareWindows<2, 0>::fits(call.pooling) && h.stride == 2 && w.stride == 2 &&
         h.padding == 0 && w.padding == 0 && 2 * h.output <= h.input && 2 * w.output == w.input &&
         w.output % outputs == 0 && is_aligned(call.x, 2 * outputs * element_size);
}

}  // namespace relustat::cuda
