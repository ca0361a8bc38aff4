#pragma once

#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

// As much of CUDA C++ as the kernels of csrc/cuda use, for any C++20 compiler: a std::thread for
// each thread, a std::barrier for each block and warp. All blocks of a grid run at a time, so what
// they do to one another shows. Included before the kernels.

#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(...)

struct Dimension {
  unsigned int x;
};
inline thread_local Dimension threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_host {

constexpr int kLanes = 32;

struct Warp {
  std::barrier<> barrier{kLanes};
  uint64_t values[kLanes];
};

struct Block {
  std::barrier<> barrier;
  std::vector<Warp> warps;
  // Allocated to the byte, so that AddressSanitizer sees what lies beyond.
  std::unique_ptr<char[]> shared;

  Block(int threads, size_t shared_bytes)
      : barrier(threads), warps(threads / kLanes), shared(new char[shared_bytes]) {}
};

inline thread_local Block* block;

// What each lane gets is what another one has.
template <class T>
T exchange(T value, int from_lane) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  Warp& warp = block->warps[threadIdx.x / kLanes];
  memcpy(&warp.values[threadIdx.x % kLanes], &value, sizeof(T));
  warp.barrier.arrive_and_wait();
  T other;
  memcpy(&other, &warp.values[from_lane], sizeof(T));
  warp.barrier.arrive_and_wait();
  return other;
}

// Returns when all threads have.
template <class Kernel, class Arguments>
void launch(Kernel kernel, int blocks, int threads, size_t shared_bytes,
            const Arguments& arguments) {
  std::vector<std::unique_ptr<Block>> grid;
  std::vector<std::thread> all;
  for (int b = 0; b < blocks; ++b) {
    grid.push_back(std::make_unique<Block>(threads, shared_bytes));
  }
  for (int b = 0; b < blocks; ++b) {
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&, b, t] {
        threadIdx.x = t;
        blockIdx.x = b;
        blockDim.x = threads;
        gridDim.x = blocks;
        block = grid[b].get();
        kernel(arguments);
      });
    }
  }
  for (std::thread& thread : all) thread.join();
}

}  // namespace cuda_host

inline void __syncthreads() { cuda_host::block->barrier.arrive_and_wait(); }

// Atomic operations below order what comes before them. (ThreadSanitizer knows no fences.)
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned int, T value, int lane) {
  return cuda_host::exchange(value, lane);
}
template <class T>
T __shfl_xor_sync(unsigned int, T value, int mask) {
  return cuda_host::exchange(value, (threadIdx.x % cuda_host::kLanes) ^ mask);
}
inline bool __all_sync(unsigned int, bool is_true) {
  bool all = true;
  for (int lane = 0; lane < cuda_host::kLanes; ++lane) {
    all &= cuda_host::exchange(is_true, lane);
  }
  return all;
}

template <class T>
T atomicAdd(T* word, T value) {
  return std::atomic_ref(*word).fetch_add(value);
}
template <class T>
T atomicExch(T* word, T value) {
  return std::atomic_ref(*word).exchange(value);
}
template <class T>
T atomicCAS(T* word, T expected, T value) {
  std::atomic_ref(*word).compare_exchange_strong(expected, value);
  return expected;
}
template <class T>
T atomicMin(T* word, T value) {
  T before = std::atomic_ref(*word).load();
  while (value < before && !std::atomic_ref(*word).compare_exchange_weak(before, value)) {
  }
  return before;
}

namespace relustat::cuda {

inline char* shared_memory() { return cuda_host::block->shared.get(); }

}  // namespace relustat::cuda
