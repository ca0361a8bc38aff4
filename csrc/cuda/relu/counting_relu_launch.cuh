#pragma once

#include <algorithm>

#include "cuda/common/launch.h"
#include "cuda/relu/counting_relu.cuh"
#include "cuda/relu/counting_relu_launch.h"

namespace relustat::cuda {

inline CountingReluLimits current_limits() {
  const int64_t of_processor =
      attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor) / kCountingReluBlocksPerProcessor -
      attribute(cudaDevAttrReservedSharedMemoryPerBlock);
  const int64_t of_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return {.threads = kCountingReluThreads,
          .blocks = attribute(cudaDevAttrMultiProcessorCount) * kCountingReluBlocksPerProcessor,
          .shared_bytes = std::min(of_processor, of_block),
          .most_pending = int64_t{1} << 30};
}

inline constexpr auto launch_by_tiling = [](auto kernel, const CountingReluCall& arguments) {
  const CountingReluTiling& tiling = arguments.tiling;
  launch(kernel, tiling.blocks, kCountingReluThreads, tiling.shared_bytes, arguments);
};

template <class Format>
void launch_counting_relu(Binning binning, const UnitLayout& units, const CountingReluCall& call) {
  with_counting_relu_kernel_of<Format, /*kWrites=*/true>(binning, units, current_limits(), call,
                                                         launch_by_tiling);
}

}  // namespace relustat::cuda
