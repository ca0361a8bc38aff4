#pragma once

#include "common/with_format.h"
#include "cuda/relu/counting_relu_block.cuh"
#include "cuda/relu/key_counter.cuh"
#include "cuda/relu/linear_counter.cuh"
#include "cuda/relu/nan_counter.cuh"
#include "cuda/relu/slot_counter.cuh"

// The CUDA kernels of counting_relu. Torch-free: tests/cuda_host runs them without a GPU.

namespace relustat::cuda {

// To find the bytes of a mask takes registers: then fewer blocks share a processor.
template <class Format, class Counter, int kVector, bool kMasked>
__global__ void __launch_bounds__(kCountingReluThreads,
                                  kMasked ? 1 : kCountingReluBlocksPerProcessor)
    counting_relu_kernel(const __grid_constant__ CountingReluCall call) {
  using Access = DenseAccess<Format, kVector, /*kWritesOutput=*/true>;
  CountingReluBlock<Format, Counter, kVector, kMasked, Access>(call).run();
}

// The same without an output.
template <class Format, class Counter, int kVector, bool kMasked>
__global__ void __launch_bounds__(kCountingReluThreads,
                                  kMasked ? 1 : kCountingReluBlocksPerProcessor)
    relu_counts_kernel(const __grid_constant__ CountingReluCall call) {
  using Access = DenseAccess<Format, kVector, /*kWritesOutput=*/false>;
  CountingReluBlock<Format, Counter, kVector, kMasked, Access>(call).run();
}

// Chooses the kernel, and calls launch(kernel, call) with the call's tiling filled in.
template <class Format, bool kWrites, class Launch>
class CountingReluKernels {
 public:
  CountingReluKernels(const UnitLayout& units, const CountingReluLimits& limits,
                      const CountingReluCall& call, const Launch& launch)
      : units_(units), limits_(limits), call_(call), launch_(launch) {}

  template <Binning kBinning>
  void run() {
    // NaNs are counted for all units together.
    if (kBinning == Binning::kNone) call_.layout.rows = 1;
    if (!is_aligned(call_.x, kPackBytes) || !is_aligned(call_.y, kPackBytes)) {
      return run_any<kBinning, 1>();
    }
    if (call_.mask != nullptr) return run_any<kBinning, kAnyPack>();
    const CountingTable slots = CountingTable::of_slots(call_.layout);
    const bool per_unit = call_.layout.rows > 1;
    if constexpr (kBinning == Binning::kNone) {
      if (fits(slots)) return start<NanCounter<Format, kPack>>();
    } else if constexpr (kBinning == Binning::kLog && kHasFloatValues) {
      using Keys = KeyCounter<Format, kPack>;
      using KeySlots = KeySlotCounter<Format, kPack>;
      if (!per_unit && fits(Keys::table(call_.layout))) return start<Keys>();
      if (per_unit && fits(KeySlots::table(call_.layout))) return start<KeySlots>();
    } else if constexpr (kBinning == Binning::kLinear && kHasFloatValues) {
      using Shared = LinearCounter<Format, kPack, Placement::kShared>;
      using PerUnit = LinearCounter<Format, kPack, Placement::kPerUnit>;
      if (fits(slots)) return per_unit ? start<PerUnit>() : start<Shared>();
    } else {
      using Shared = SlotCounter<Format, kBinning, kPack, Placement::kShared>;
      if (!per_unit && fits(slots)) return start<Shared>();
    }
    run_any<kBinning, kAnyPack>();
  }

 private:
  static constexpr int kPack = kPackBytes / sizeof(typename Format::Bits);
  // With more elements at a time the general counter has too few registers.
  static constexpr int kAnyPack = kPack < 4 ? kPack : 4;
  static constexpr bool kHasFloatValues = sizeof(typename Format::Value) == sizeof(float);

  template <Binning kBinning, int kVector>
  void run_any() {
    tile<kVector>(CountingTable::of_slots(call_.layout));
    using Any = SlotCounter<Format, kBinning, kVector, Placement::kAny>;
    if (call_.mask != nullptr) return start<Any, kVector, /*kMasked=*/true>();
    start<Any, kVector>();
  }

  // Whether the counts fit into shared memory. The call's tiling says where.
  bool fits(const CountingTable& table) {
    tile<kPack>(table);
    return call_.tiling.copies > 0;
  }

  template <int kVector>
  void tile(const CountingTable& table) {
    call_.tiling = make_counting_relu_tiling(units_, kVector, table, limits_);
  }

  template <class Counter, int kVector = kPack, bool kMasked = false>
  void start() {
    if constexpr (kWrites) {
      launch_(counting_relu_kernel<Format, Counter, kVector, kMasked>, call_);
    } else {
      launch_(relu_counts_kernel<Format, Counter, kVector, kMasked>, call_);
    }
  }

  const UnitLayout& units_;
  const CountingReluLimits& limits_;
  CountingReluCall call_;
  const Launch& launch_;
};

// kWrites: whether there is an output.
template <class Format, bool kWrites, class Launch>
void with_counting_relu_kernel_of(Binning binning, const UnitLayout& units,
                                  const CountingReluLimits& limits, const CountingReluCall& call,
                                  const Launch& launch) {
  CountingReluKernels<Format, kWrites, Launch> kernels(units, limits, call, launch);
  switch (binning) {
    case Binning::kNone:
      return kernels.template run<Binning::kNone>();
    case Binning::kSearch:
      return kernels.template run<Binning::kSearch>();
    case Binning::kLinear:
      return kernels.template run<Binning::kLinear>();
    case Binning::kLog:
      return kernels.template run<Binning::kLog>();
  }
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
