#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>

#include "memory.cuh"
#include "timing.cuh"

// How fast blocks count in shared memory, with as many copies of the counts as divide the lanes of
// a warp. Nothing else is done, so that this is the most a kernel can reach.

namespace probe {
namespace {

constexpr int kBlockThreads = 512;
constexpr int kBlocksPerProcessor = 2;
constexpr int kBins = 512;
constexpr int kBinsOfThread = 16;
constexpr int kRepeats = 256;

template <int kCopies>
__global__ void __launch_bounds__(kBlockThreads, kBlocksPerProcessor)
    count_in_shared_memory(const uint16_t* bins, unsigned int* sums) {
  extern __shared__ unsigned int counts[];
  for (int i = threadIdx.x; i < kBins * kCopies; i += blockDim.x) counts[i] = 0;
  int mine[kBinsOfThread];
  for (int i = 0; i < kBinsOfThread; ++i) {
    const int bin = bins[(blockIdx.x * kBinsOfThread + i) * blockDim.x + threadIdx.x];
    mine[i] = bin * kCopies + threadIdx.x % kCopies;
  }
  __syncthreads();
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
#pragma unroll
    for (int i = 0; i < kBinsOfThread; ++i) atomicAdd(counts + mine[i], 1u);
  }
  __syncthreads();
  unsigned int sum = 0;
  for (int i = threadIdx.x; i < kBins * kCopies; i += blockDim.x) sum += counts[i];
  atomicAdd(sums + blockIdx.x, sum);
}

template <int kCopies>
int row(const Options& options, const char* what, const Array<uint16_t>& bins, int blocks) {
  constexpr int kBytes = kBins * kCopies * static_cast<int>(sizeof(unsigned int));
  const auto kernel = count_in_shared_memory<kCopies>;
  PROBE_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const Array<unsigned int> sums(blocks);
  const auto run = [&](int) {
    kernel<<<blocks, kBlockThreads, kBytes>>>(bins.data(), sums.data());
    PROBE_CHECK(cudaGetLastError());
  };
  constexpr unsigned int kCounted = kBlockThreads * kBinsOfThread * kRepeats;
  sums.fill_bytes(0);
  run(0);
  const std::vector<unsigned int> found = sums.values();
  const bool exact =
      std::all_of(found.begin(), found.end(), [](unsigned int sum) { return sum == kCounted; });
  const double taken = microseconds(run);
  const double lanes = kBlocksPerProcessor * static_cast<double>(kCounted);
  std::printf("shared atomics, %-9s copies %2d %31s %s %9.1f us  %5.2f lanes a clock\n", what,
              kCopies, "", exact ? "exact" : "WRONG", taken,
              lanes / (taken * 1e3 * options.gigahertz));
  return exact ? 0 : 1;
}

}  // namespace

int shared_atomic_rows(const Options& options) {
  const int blocks = options.processors * kBlocksPerProcessor;
  int wrong = 0;
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(kBins / 2, kBins / 8);
  struct Distribution {
    const char* name;
    std::function<float()> draw;
  };
  const Distribution distributions[] = {
      {"one bin,", [] { return 7.0f; }},
      {"two bins,", [&] { return static_cast<float>(generator() % 2); }},
      {"uniform,", [&] { return static_cast<float>(generator() % kBins); }},
      {"normal,", [&] { return std::clamp(normal(generator), 0.0f, kBins - 1.0f); }},
  };
  for (const auto& [name, draw] : distributions) {
    std::vector<uint16_t> values(static_cast<size_t>(blocks) * kBinsOfThread * kBlockThreads);
    for (uint16_t& value : values) value = static_cast<uint16_t>(draw());
    const Array<uint16_t> bins(values);
    wrong += row<1>(options, name, bins, blocks);
    wrong += row<4>(options, name, bins, blocks);
    wrong += row<8>(options, name, bins, blocks);
    wrong += row<32>(options, name, bins, blocks);
  }
  return wrong;
}

}  // namespace probe
