#pragma once

#include "common/dtype_of.h"
#include "cuda/pool/pooling_call.h"
#include "pool/tensors.h"

namespace relustat::cuda {

// `values`: a tensor of the dtype that is pooled or unpooled.
inline PoolingCall pooling_call_of(const PooledPlanes& pooled, const at::Tensor& values,
                                   const at::Tensor& offsets) {
  return {.dtype = dtype_of(values),
          .wide_offsets = has_wide_offsets(offsets),
          .pooling = pooled.numbers,
          .planes = pooled.planes,
          .channels = pooled.channels};
}

}  // namespace relustat::cuda
