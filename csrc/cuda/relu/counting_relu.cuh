#pragma once

#include "common/with_format.h"
#include "cuda/relu/column_zeros.cuh"
#include "cuda/relu/counting_relu_block.cuh"
#include "cuda/relu/dense_access.cuh"
#include "cuda/relu/kernel_choice.cuh"

// The CUDA kernels of counting_relu. Torch-free: tests/cuda_host runs them without a GPU.

namespace relustat::cuda {

// To find the bytes of a mask takes registers: then fewer blocks share a processor.
template <class Format, class Counter, int kVector, bool kMasked>
__global__ void __launch_bounds__(kCountingReluThreads,
                                  kMasked ? 1 : kCountingReluBlocksPerProcessor)
    counting_relu_kernel(const __grid_constant__ CountingReluCall call) {
  using Access = DenseAccess<Format, kVector, /*kWritesOutput=*/true>;
  using Columns = ColumnZeros<Format, kVector>;
  CountingReluBlock<Format, Counter, kVector, kMasked, Access, Columns>(call).run();
}

// The same without an output.
template <class Format, class Counter, int kVector, bool kMasked>
__global__ void __launch_bounds__(kCountingReluThreads,
                                  kMasked ? 1 : kCountingReluBlocksPerProcessor)
    relu_counts_kernel(const __grid_constant__ CountingReluCall call) {
  using Access = DenseAccess<Format, kVector, /*kWritesOutput=*/false>;
  using Columns = ColumnZeros<Format, kVector>;
  CountingReluBlock<Format, Counter, kVector, kMasked, Access, Columns>(call).run();
}

// See KernelChoice. kWrites: whether there is an output.
template <class Format, bool kWrites>
struct ReluKernels {
  using Call = CountingReluCall;
  static constexpr int kPack = kPackBytes / sizeof(typename Format::Bits);
  static constexpr bool kHasUnmaskedAny = true;

  static bool are_packs(const Call& call) {
    return is_aligned(call.x, kPackBytes) && is_aligned(call.y, kPackBytes);
  }

  template <class Counter, int kVector, bool kMasked>
  static auto kernel() {
    if constexpr (kWrites) {
      return counting_relu_kernel<Format, Counter, kVector, kMasked>;
    } else {
      return relu_counts_kernel<Format, Counter, kVector, kMasked>;
    }
  }
};

// kWrites: whether there is an output.
template <class Format, bool kWrites, class Launch>
void with_counting_relu_kernel_of(Binning binning, const UnitLayout& units,
                                  const CountingReluLimits& limits, const CountingReluCall& call,
                                  const Launch& launch) {
  KernelChoice<Format, ReluKernels<Format, kWrites>, Launch>(units, limits, call, launch)
      .run(binning);
}

template <bool kWrites, class Launch>
void with_counting_relu_kernel(Dtype dtype, Binning binning, const UnitLayout& units,
                               const CountingReluLimits& limits, const CountingReluCall& call,
                               const Launch& launch) {
  with_format(dtype, [&]<class Format>() {
    with_counting_relu_kernel_of<Format, kWrites>(binning, units, limits, call, launch);
  });
}

}  // namespace relustat::cuda
