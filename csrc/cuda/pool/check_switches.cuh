#pragma once

#include <cstdint>

#include "cuda/common/grid.cuh"
#include "cuda/pool/pooling_call.h"
#include "cuda/pool/tap.h"

// The CUDA kernel that validates switches. Torch-free: tests/cuda_host runs it without a GPU.

namespace relustat::cuda {

struct CheckSwitchesCall : PoolingCall {
  const void* offsets;
  unsigned long long* result;  // all ones before; the first position whose switch is wrong
};

template <class Index>
struct CheckSwitchesArguments {
  const void* offsets;
  unsigned long long* result;
  BasicPooling<Index> pooling;
  Index threads;
  TapDividers<Index> dividers;

  explicit CheckSwitchesArguments(const CheckSwitchesCall& call)
      : offsets(call.offsets),
        result(call.result),
        pooling(call.pooling),
        threads(static_cast<Index>(call.planes * Pooling(call.pooling).outputs() * call.channels)),
        dividers(call.pooling, call.channels) {}
};

template <class Offset, class Index>
__global__ void check_switches_kernel(
    const __grid_constant__ CheckSwitchesArguments<Index> arguments) {
  const auto* const offsets = static_cast<const Offset*>(arguments.offsets);
  for_each_position(arguments.threads, [&](Index position) {
    const Tap<Index> tap(position, offsets[position], arguments.pooling, arguments.dividers);
    if (!tap.is_cell) atomicMin(arguments.result, static_cast<unsigned long long>(position));
  });
}

// Calls launch(kernel, arguments).
template <class Launch>
void with_check_switches_kernel(const CheckSwitchesCall& call, const Launch& launch) {
  with_offset_and_index(call, [&]<class Offset, class Index>() {
    launch(check_switches_kernel<Offset, Index>, CheckSwitchesArguments<Index>(call));
  });
}

}  // namespace relustat::cuda
