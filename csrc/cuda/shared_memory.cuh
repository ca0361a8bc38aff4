#pragma once

namespace relustat::cuda {

// The block's dynamic shared memory, aligned for any type.
#if defined(__CUDACC__)
__device__ __forceinline__ char* shared_memory() {
  extern __shared__ __align__(16) char bytes[];
  return bytes;
}
#else
// Defined by what runs the kernels elsewhere: tests/cuda_host.
char* shared_memory();
#endif

}  // namespace relustat::cuda
