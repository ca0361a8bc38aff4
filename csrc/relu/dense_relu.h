#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "relu/checks.h"

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

// The bytes of a mask in the order of relu/mask.h, for a dense x.
inline at::Tensor dense_mask(const at::Tensor& mask, const at::Tensor& x, int64_t unit_dim) {
  std::vector<int64_t> strides = x.strides().vec();
  if (unit_dim != x.dim()) strides.erase(strides.begin() + c10::maybe_wrap_dim(unit_dim, x.dim()));
  std::vector<int64_t> order(strides.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return strides[a] > strides[b]; });
  const at::Tensor dense = mask.expand(sizes_of_positions(x, unit_dim)).permute(order).contiguous();
  // x may be written over.
  return dense.is_alias_of(x) ? dense.clone() : dense;
}

// rectify(x, y): both are dense, with equal strides except for dimensions of size 1. y may be x.
// empty_output(x): that of PyTorch's op for a dense x.
template <class EmptyOutput, class Rectify>
at::Tensor rectify_dense(const at::Tensor& x, const EmptyOutput& empty_output,
                         const Rectify& rectify) {
  if (x.is_non_overlapping_and_dense()) {
    at::Tensor y = empty_output(x);
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
