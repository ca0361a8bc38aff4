#pragma once

#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
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
  std::atomic<bool> all_are_true{true};
  // Allocated to the byte, so that AddressSanitizer sees what lies beyond.
  std::unique_ptr<char[]> shared;

  Block(int threads, size_t shared_bytes)
      : barrier(threads), warps(threads / kLanes), shared(new char[shared_bytes]) {}
};

inline thread_local Block* block;

// Calls look(values) when all lanes of the warp have put theirs there.
template <class T, class Look>
auto exchange(T value, const Look& look) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  Warp& warp = block->warps[threadIdx.x / kLanes];
  memcpy(&warp.values[threadIdx.x % kLanes], &value, sizeof(T));
  warp.barrier.arrive_and_wait();
  const auto result = look([&](int lane) {
    T of_lane;
    memcpy(&of_lane, &warp.values[lane], sizeof(T));
    return of_lane;
  });
  warp.barrier.arrive_and_wait();
  return result;
}

// Threads that stay from launch to launch: to make them takes longer than most kernels do.
class Threads {
 public:
  explicit Threads(int count) : start_(count + 1), finish_(count + 1) {
    for (int i = 0; i < count; ++i) {
      all_.emplace_back([this, i] {
        for (;;) {
          start_.arrive_and_wait();
          if (!work_) return;
          work_(i);
          finish_.arrive_and_wait();
        }
      });
    }
  }
  ~Threads() {
    work_ = nullptr;
    start_.arrive_and_wait();
    for (std::thread& thread : all_) thread.join();
  }

  // work(i) on thread i, for all of them.
  void run(std::function<void(int)> work) {
    work_ = std::move(work);
    start_.arrive_and_wait();
    finish_.arrive_and_wait();
  }

 private:
  std::barrier<> start_, finish_;
  std::function<void(int)> work_;
  std::vector<std::thread> all_;
};

// Returns when all threads have.
template <class Kernel, class Arguments>
void launch(Kernel kernel, int blocks, int threads, size_t shared_bytes,
            const Arguments& arguments) {
  std::vector<std::unique_ptr<Block>> grid;
  for (int b = 0; b < blocks; ++b) {
    grid.push_back(std::make_unique<Block>(threads, shared_bytes));
  }
  // Each stream of a test has its own.
  thread_local std::map<int, Threads> kept;
  kept.try_emplace(blocks * threads, blocks * threads).first->second.run([&](int i) {
    threadIdx.x = i % threads;
    blockIdx.x = i / threads;
    blockDim.x = threads;
    gridDim.x = blocks;
    block = grid[blockIdx.x].get();
    kernel(arguments);
  });
}

}  // namespace cuda_host

inline void __syncthreads() { cuda_host::block->barrier.arrive_and_wait(); }
inline int __syncthreads_and(int is_true) {
  std::atomic<bool>& all = cuda_host::block->all_are_true;
  if (!is_true) all = false;
  __syncthreads();
  const bool result = all;
  __syncthreads();
  all = true;
  __syncthreads();
  return result;
}

// Atomic operations below order what comes before them. (ThreadSanitizer knows no fences.)
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned int, T value, int lane) {
  return cuda_host::exchange(value, [&](const auto& of) { return of(lane); });
}
template <class T>
T __shfl_xor_sync(unsigned int, T value, int mask) {
  const int lane = threadIdx.x % cuda_host::kLanes;
  return cuda_host::exchange(value, [&](const auto& of) { return of(lane ^ mask); });
}
inline bool __all_sync(unsigned int, bool is_true) {
  return cuda_host::exchange(is_true, [](const auto& of) {
    bool all = true;
    for (int lane = 0; lane < cuda_host::kLanes; ++lane) all &= of(lane);
    return all;
  });
}

template <class T>
T atomicAdd(T* word, T value) {
  return std::atomic_ref(*word).fetch_add(value);
}
template <class T>
T atomicXor(T* word, T value) {
  return std::atomic_ref(*word).fetch_xor(value);
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
