#pragma once

#include <cstdint>

namespace relustat::cuda {

// The block's dynamic shared memory, aligned for any type. A word of it also has an address of 32
// bits: with pointers, which have 64, compilers add up the address anew for each access.
#if defined(__CUDACC__)
__device__ __forceinline__ char* shared_memory() {
  extern __shared__ __align__(16) char bytes[];
  return bytes;
}
__device__ __forceinline__ uint32_t shared_address() {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared_memory()));
}
__device__ __forceinline__ void add_shared(uint32_t address, uint32_t n) {
  asm volatile("red.relaxed.cta.shared.add.u32 [%0], %1;" ::"r"(address), "r"(n) : "memory");
}
__device__ __forceinline__ uint32_t load_shared_16(uint32_t address) {
  uint16_t value;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(value) : "r"(address) : "memory");
  return value;
}
#else
// tests/cuda_host defines it to run the kernels on a CPU.
char* shared_memory();
inline uint32_t shared_address() { return 0; }
inline void add_shared(uint32_t address, uint32_t n) {
  atomicAdd(reinterpret_cast<uint32_t*>(shared_memory() + address), n);
}
inline uint32_t load_shared_16(uint32_t address) {
  return *reinterpret_cast<const uint16_t*>(shared_memory() + address);
}
#endif

}  // namespace relustat::cuda
