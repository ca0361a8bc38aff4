#pragma once

#include "cuda/pool/pooling_call.h"

namespace relustat::cuda {

struct MaxUnpoolCall : PoolingCall {
  const void* y;
  const void* offsets;
  void* x;
  Overlap overlap;
};

struct MaxUnpoolBackwardCall : PoolingCall {
  const void* gradient;
  const void* y;  // null if the overlap is not "max"
  const void* offsets;
  void* y_gradient;
  Overlap overlap;
};

}  // namespace relustat::cuda
