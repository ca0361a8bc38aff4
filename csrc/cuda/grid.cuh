#pragma once

#include <cstdint>

namespace relustat::cuda {

// Threads of a block, where kernels have one for each output.
constexpr int kThreads = 256;

// Calls visit(place) for 0 to n - 1, spread over all threads.
template <class Index, class Visit>
__device__ void for_each_place(Index n, const Visit& visit) {
  const Index threads = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index place = blockIdx.x * static_cast<Index>(blockDim.x) + threadIdx.x; place < n;
       place += threads) {
    visit(place);
  }
}

}  // namespace relustat::cuda
