#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

// Kernels of counting_relu take dense tensors in memory order. Here any tensor becomes one, for
// every backend.

namespace relustat {

// The strides of F.relu's output. TensorIterator keeps those of a dense input. It keeps the strides
// of dimensions of size 1 only if the input is in none of these formats.
inline at::Tensor empty_relu_output(const at::Tensor& dense) {
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    if (dense.is_contiguous(format)) return at::empty_like(dense, dense.options(), format);
  }
  return at::empty_like(dense);
}

// rectify(x, y): both are dense, with equal strides except for dimensions of size 1. y may be x.
template <class Rectify>
at::Tensor rectify_dense(const at::Tensor& x, const Rectify& rectify) {
  if (x.is_non_overlapping_and_dense()) {
    at::Tensor y = empty_relu_output(x);
    rectify(x, y);
    return y;
  }
  // The copy's strides are those of F.relu's output, too.
  at::Tensor y = x.clone();
  rectify(y, y);
  return y;
}

template <class Rectify>
void rectify_dense_in_place(const at::Tensor& x, const Rectify& rectify) {
  if (x.is_non_overlapping_and_dense()) {
    rectify(x, x);
    return;
  }
  const at::Tensor dense = x.clone();
  rectify(dense, dense);
  x.copy_(dense);
}

}  // namespace relustat
