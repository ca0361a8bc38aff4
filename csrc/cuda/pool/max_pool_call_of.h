#pragma once

#include "cuda/pool/max_pool_call.h"
#include "cuda/pool/pooling_call_of.h"
#include "pool/tensors.h"

namespace relustat::cuda {

inline MaxPoolCall max_pool_call_of(const MaxPoolTensors& tensors, bool rectifies) {
  return {pooling_call_of(tensors.pooled, tensors.x, tensors.offsets), tensors.x.const_data_ptr(),
          tensors.y.mutable_data_ptr(), tensors.offsets.mutable_data_ptr(), rectifies};
}

// Launches on the current device and stream.
void launch_max_pool(const MaxPoolCall& call);

}  // namespace relustat::cuda
