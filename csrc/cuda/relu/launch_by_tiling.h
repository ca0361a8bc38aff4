#pragma once

#include <algorithm>

#include "cuda/common/launch.h"
#include "cuda/relu/counting_relu_tiling.h"

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

inline constexpr auto launch_by_tiling = [](auto kernel, const auto& arguments) {
  const CountingReluTiling& tiling = arguments.tiling;
  launch(kernel, tiling.blocks, kCountingReluThreads, tiling.shared_bytes, arguments);
};

}  // namespace relustat::cuda
