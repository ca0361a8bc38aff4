#pragma once

#include <cstdint>

#include "grid.cuh"
#include "narrow_index.h"
#include "tap.h"

// The CUDA kernel that validates switches. Torch-free: tests/cuda_host runs it without a GPU.

namespace relustat::cuda {

struct CheckSwitchesCall {
  const void* offsets;
  bool wide_offsets;
  PoolingNumbers pooling;
  int64_t planes;
  int64_t channels;            // 1: planes are contiguous; else channels are last
  unsigned long long* result;  // all ones before; the first place whose switch is wrong
  int64_t most_narrow_places = kMostNarrowPlaces;

  int64_t places() const { return planes * Pooling(pooling).outputs() * channels; }
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
        threads(static_cast<Index>(call.places())),
        dividers(call.pooling, call.channels) {}
};

template <class Offset, class Index>
__global__ void check_switches_kernel(
    const __grid_constant__ CheckSwitchesArguments<Index> arguments) {
  const auto* const offsets = static_cast<const Offset*>(arguments.offsets);
  for_each_place(arguments.threads, [&](Index place) {
    const Tap<Index> tap(place, offsets[place], arguments.pooling, arguments.dividers);
    if (!tap.is_cell) atomicMin(arguments.result, static_cast<unsigned long long>(place));
  });
}

// Calls launch(kernel, arguments).
template <class Launch>
void with_check_switches_kernel(const CheckSwitchesCall& call, const Launch& launch) {
  const auto run = [&]<class Offset, class Index>() {
    launch(check_switches_kernel<Offset, Index>, CheckSwitchesArguments<Index>(call));
  };
  if (fits_narrow_index(call.pooling, call.places(), call.most_narrow_places)) {
    call.wide_offsets ? run.template operator()<int16_t, int32_t>()
                      : run.template operator()<uint8_t, int32_t>();
  } else {
    call.wide_offsets ? run.template operator()<int16_t, int64_t>()
                      : run.template operator()<uint8_t, int64_t>();
  }
}

}  // namespace relustat::cuda
