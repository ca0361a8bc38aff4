#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <set>
#include <type_traits>
#include <utility>

#include "cuda/common/architectures.h"
#include "cuda/common/grid.cuh"

namespace relustat::cuda {

inline int attribute(cudaDeviceAttr which) {
  int value = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, c10::cuda::current_device()));
  return value;
}

// Once for each kernel and device: checks that there is machine code, and allows blocks all the
// shared memory.
inline void prepare(const void* kernel) {
  static std::mutex mutex;
  static std::set<std::pair<const void*, int>> prepared;
  const int device = c10::cuda::current_device();
  const std::lock_guard lock(mutex);
  if (prepared.count({kernel, device}) > 0) return;
  cudaFuncAttributes attributes;
  const cudaError_t found = cudaFuncGetAttributes(&attributes, kernel);
  if (found == cudaErrorNoKernelImageForDevice || found == cudaErrorInvalidDeviceFunction) {
    cudaGetLastError();
    const int major = attribute(cudaDevAttrComputeCapabilityMajor);
    const int minor = attribute(cudaDevAttrComputeCapabilityMinor);
    TORCH_CHECK(false, "relustat: the CUDA kernels must be built for sm_", major, minor, ", got ",
                built_architectures(), "; build again with TORCH_CUDA_ARCH_LIST=", major, ".",
                minor);
  }
  C10_CUDA_CHECK(found);
  const int most_shared = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) -
                          static_cast<int>(attributes.sharedSizeBytes);
  C10_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared));
  prepared.insert({kernel, device});
}

// On the current device and stream.
template <class Arguments>
void launch(void (*kernel)(Arguments), int64_t blocks, int64_t threads, int64_t shared_bytes,
            const std::type_identity_t<Arguments>& arguments) {
  prepare(reinterpret_cast<const void*>(kernel));
  kernel<<<static_cast<unsigned int>(blocks), static_cast<unsigned int>(threads),
           static_cast<size_t>(shared_bytes), c10::cuda::getCurrentCUDAStream()>>>(arguments);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

// A thread for each position. If the grid has fewer threads, each takes several positions.
inline constexpr auto launch_for_each_position = [](auto kernel, const auto& arguments) {
  constexpr int64_t kMostBlocks = std::numeric_limits<int32_t>::max() / kThreads;
  const int64_t blocks = (static_cast<int64_t>(arguments.threads) + kThreads - 1) / kThreads;
  launch(kernel, std::min(blocks, kMostBlocks), kThreads, 0, arguments);
};

}  // namespace relustat::cuda
