#pragma once

#include <cstdint>

#include "activation/key.h"
#include "common/with_format.h"
#include "cuda/common/shared_memory.cuh"

// The CUDA kernel of activation_hash. Torch-free: tests/cuda_host runs it without a GPU.

namespace relustat::cuda {

struct ActivationHashCall {
  const void* x;               // [samples, units]
  unsigned long long* hashes;  // [samples]; 0 before
  int64_t samples;
  int64_t units;
  uint64_t seed;

  // A block makes the keys of some units, and uses them for some samples.
  static constexpr int64_t kTileUnits = 1024;
  static constexpr int64_t kTileSamples = 64;
  static constexpr int64_t kSharedBytes = kTileUnits * sizeof(unsigned long long);

  RELUSTAT_HOST_DEVICE int64_t tiles_down() const {
    return (samples + kTileSamples - 1) / kTileSamples;
  }
  RELUSTAT_HOST_DEVICE int64_t tiles() const {
    return (units + kTileUnits - 1) / kTileUnits * tiles_down();
  }
};

// A warp for each sample of a tile.
template <class Format>
__global__ void activation_hash_kernel(const __grid_constant__ ActivationHashCall call) {
  constexpr int32_t kLanes = 32;
  constexpr uint32_t kAllLanes = 0xffffffffu;
  const int32_t lane = threadIdx.x % kLanes;
  const int32_t warp = threadIdx.x / kLanes;
  const int32_t warps = blockDim.x / kLanes;
  auto* const keys = reinterpret_cast<unsigned long long*>(shared_memory());
  for (int64_t tile = blockIdx.x; tile < call.tiles(); tile += gridDim.x) {
    const int64_t across = tile / call.tiles_down();
    const int64_t first_unit = across * call.kTileUnits;
    const int64_t first = (tile - across * call.tiles_down()) * call.kTileSamples;
    const int64_t units_left = call.units - first_unit;
    const int64_t samples_left = call.samples - first;
    const int64_t units = units_left < call.kTileUnits ? units_left : call.kTileUnits;
    const int64_t samples = samples_left < call.kTileSamples ? samples_left : call.kTileSamples;

    // Another warp may still read the keys of the tile before.
    __syncthreads();
    for (int32_t unit = threadIdx.x; unit < units; unit += blockDim.x) {
      keys[unit] = activation_key(call.seed, first_unit + unit);
    }
    __syncthreads();
    for (int64_t sample = first + warp; sample < first + samples; sample += warps) {
      const auto* const x =
          static_cast<const typename Format::Bits*>(call.x) + sample * call.units + first_unit;
      unsigned long long hash = 0;
#pragma unroll 4
      for (int32_t unit = lane; unit < units; unit += kLanes) {
        if (is_active<Format>(x[unit])) hash ^= keys[unit];
      }
#pragma unroll
      for (int distance = kLanes / 2; distance > 0; distance /= 2) {
        hash ^= __shfl_xor_sync(kAllLanes, hash, distance);
      }
      if (lane == 0) atomicXor(call.hashes + sample, hash);
    }
  }
}

// Calls launch(kernel).
template <class Launch>
void with_activation_hash_kernel(Dtype dtype, const Launch& launch) {
  with_format(dtype, [&]<class Format>() { launch(activation_hash_kernel<Format>); });
}

}  // namespace relustat::cuda
