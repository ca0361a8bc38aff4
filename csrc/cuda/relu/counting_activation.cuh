#pragma once

#include "cuda/relu/counting_activation_call.h"
#include "cuda/relu/counting_relu_block.cuh"
#include "cuda/relu/dense_access.cuh"
#include "cuda/relu/family_columns.cuh"
#include "cuda/relu/kernel_choice.cuh"
#include "cuda/relu/observed_access.cuh"

// The CUDA kernels of counting_activation and count_activation. Torch-free: tests/cuda_host runs
// them without a GPU.

namespace relustat::cuda {

template <class Format, class Counter, int kVector, bool kMasked, Members kMembers>
__global__ void __launch_bounds__(kCountingReluThreads,
                                  kMasked ? 1 : kCountingReluBlocksPerProcessor)
    counting_activation_kernel(const __grid_constant__ CountingActivationCall<Format> call) {
  using Access = DenseAccess<Format, kVector, /*kWritesOutput=*/true>;
  using Columns = FamilyColumns<Format, kVector, kMembers>;
  CountingReluBlock<Format, Counter, kVector, kMasked, Access, Columns>(call).run();
}

// The same without an output.
template <class Format, class Counter, int kVector, bool kMasked>
__global__ void __launch_bounds__(kCountingReluThreads,
                                  kMasked ? 1 : kCountingReluBlocksPerProcessor)
    count_activation_kernel(const __grid_constant__ CountingActivationCall<Format> call) {
  using Access = ObservedAccess<Format, kVector>;
  using Columns = FamilyColumns<Format, kVector, Members::kOnlyCounted>;
  CountingReluBlock<Format, Counter, kVector, kMasked, Access, Columns>(call).run();
}

// See KernelChoice. To compile few kernels, the general counter has one for all activations, with a
// mask and without.
template <class Format, Members kMembers>
struct ActivationKernels {
  using Call = CountingActivationCall<Format>;
  // With more of 16 bits at a time there are too few registers for their counts.
  static constexpr int kPack = sizeof(typename Format::Bits) == 8 ? 2 : 4;
  static constexpr bool kHasUnmaskedAny = false;

  static bool are_packs(const Call& call) {
    constexpr int kBytes = kPack * sizeof(typename Format::Bits);
    return is_aligned(call.x, kBytes) && is_aligned(call.y, kBytes) &&
           is_aligned(call.observed, kBytes);
  }

  template <class Counter, int kVector, bool kMasked>
  static auto kernel() {
    if constexpr (kMembers == Members::kOnlyCounted) {
      return count_activation_kernel<Format, Counter, kVector, kMasked>;
    } else {
      constexpr Members kOfKernel = kMasked ? Members::kAll : kMembers;
      return counting_activation_kernel<Format, Counter, kVector, kMasked, kOfKernel>;
    }
  }
};

// Calls launch(kernel, call) with one that counts, and writes outputs if there is a y.
template <class Format, class Launch>
void with_counting_activation_kernel_of(Binning binning, const UnitLayout& units,
                                        const CountingReluLimits& limits,
                                        const CountingActivationCall<Format>& call,
                                        const Launch& launch) {
  const auto run = [&]<Members kMembers>() {
    using Kernels = ActivationKernels<Format, kMembers>;
    KernelChoice<Format, Kernels, Launch>(units, limits, call, launch).run(binning);
  };
  if (call.y == nullptr) {
    run.template operator()<Members::kOnlyCounted>();
  } else if (call.has_knees()) {
    run.template operator()<Members::kKnees>();
  } else {
    run.template operator()<Members::kOthers>();
  }
}

}  // namespace relustat::cuda
