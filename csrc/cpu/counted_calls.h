#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "cpu/kernels/pool/pooled_tensor.h"
#include "relu/checks.h"
#include "relu/family.h"

namespace relustat::cpu {

// What counting_relu is given beside its input; the arguments have been checked.
struct CountingArguments {
  const at::Tensor& counters;
  const at::Tensor& edges;
  int64_t unit_dim;
  int64_t binning;
  const std::optional<at::Tensor>& mask;
  const std::optional<at::Tensor>& blocks;
  Activation activation = Activation::kRelu;
  ActivationNumbers numbers{};
  // Of the input's dtype, one for each unit or for all, instead of the first number.
  at::Tensor slopes = {};
};

// Whether this call is counted: one call in `every`, if it has elements that are counted, and no
// recomputation inside a backward pass (activation checkpointing), whose elements were counted when
// they were first computed. Throws std::overflow_error, Python's OverflowError, if the counts might
// pass 2^63 - 1; a mask is not looked at.
bool takes_turn(const at::Tensor& x, const CountingArguments& arguments);

// x is dense. The output is written to y, which has x's strides except for dimensions of size 1,
// and may be x; or it is pooled; or y is null, and x is only counted. `observed`: the outputs of
// another activation, which lie as x does; or null.
void rectify_and_count(const at::Tensor& x, void* y, const PooledTensor* pooled,
                       const CountingArguments& arguments, const CounterLayout& layout,
                       const void* observed = nullptr);

// The same without counting.
void rectify_and_pool(const at::Tensor& x, const PooledTensor& pooled);

// Whether a thread can hold all that windows still need. Long rows are for one thread, too.
bool can_stream(const PooledTensor& pooled);

// Whether all counts are made in the order of memory, as a pool needs its input.
bool counts_in_order(const at::Tensor& x, const CountingArguments& arguments,
                     const CounterLayout& layout);

}  // namespace relustat::cpu
