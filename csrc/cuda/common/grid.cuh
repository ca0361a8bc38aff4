#pragma once

#include <cstdint>

namespace relustat::cuda {

// The number of threads of a block, for kernels with a thread for each output.
constexpr int kThreads = 256;

// Calls visit(position) for 0 to n - 1, spread over all threads.
template <class Index, class Visit>
__device__ void for_each_position(Index n, const Visit& visit) {
  const Index threads = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index position = blockIdx.x * static_cast<Index>(blockDim.x) + threadIdx.x; position < n;
       position += threads) {
    visit(position);
  }
}

}  // namespace relustat::cuda
