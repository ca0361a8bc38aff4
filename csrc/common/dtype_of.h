#pragma once

#include <ATen/core/Tensor.h>

#include "common/dtype.h"

namespace relustat {

// The dtype of a tensor. It must have been checked.
inline Dtype dtype_of(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return Dtype::kFloat32;
    case at::kDouble:
      return Dtype::kFloat64;
    case at::kBFloat16:
      return Dtype::kBFloat16;
    default:
      return Dtype::kFloat16;
  }
}

}  // namespace relustat
