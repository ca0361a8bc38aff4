#pragma once

#include "cuda/relu/key_counter.cuh"
#include "cuda/relu/linear_counter.cuh"
#include "cuda/relu/nan_counter.cuh"
#include "cuda/relu/slot_counter.cuh"
#include "relu/binning.h"
#include "relu/unit_layout.h"

namespace relustat::cuda {

// Chooses the kernel that counts a call, and calls launch(kernel, call) with the call's tiling
// filled in. Kernels: those of an op. It has their Call; kPack, the number of elements of a vector;
// are_packs(call), whether vectors may be loaded; kHasUnmaskedAny, whether the general counter has
// kernels for calls without a mask; and kernel<Counter, kVector, kMasked>().
template <class Format, class Kernels, class Launch>
class KernelChoice {
 public:
  using Call = typename Kernels::Call;

  KernelChoice(const UnitLayout& units, const CountingReluLimits& limits, const Call& call,
               const Launch& launch)
      : units_(units), limits_(limits), call_(call), launch_(launch) {}

  void run(Binning binning) {
    switch (binning) {
      case Binning::kNone:
        return run<Binning::kNone>();
      case Binning::kSearch:
        return run<Binning::kSearch>();
      case Binning::kLinear:
        return run<Binning::kLinear>();
      case Binning::kLog:
        return run<Binning::kLog>();
    }
  }

 private:
  template <Binning kBinning>
  void run() {
    // NaNs are counted for all units together.
    if (kBinning == Binning::kNone) call_.layout.rows = 1;
    if (!Kernels::are_packs(call_)) return run_any<kBinning, 1>();
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

  static constexpr int kPack = Kernels::kPack;
  // With more elements at a time the general counter has too few registers.
  static constexpr int kAnyPack = kPack < 4 ? kPack : 4;
  static constexpr bool kHasFloatValues = sizeof(typename Format::Value) == sizeof(float);

  template <Binning kBinning, int kVector>
  void run_any() {
    tile<kVector>(CountingTable::of_slots(call_.layout));
    using Any = SlotCounter<Format, kBinning, kVector, Placement::kAny>;
    if constexpr (Kernels::kHasUnmaskedAny) {
      if (call_.mask == nullptr) return start<Any, kVector>();
    }
    start<Any, kVector, /*kMasked=*/true>();
  }

  // Whether the counts fit into shared memory. The call's tiling says where.
  bool fits(const CountingTable& table) {
    tile<kPack>(table);
    return call_.tiling.copies > 0;
  }

  template <int kVector>
  void tile(CountingTable table) {
    table.of_unit = call_.layout.saturates ? 2 : 1;
    call_.tiling = make_counting_relu_tiling(units_, kVector, table, limits_);
  }

  template <class Counter, int kVector = kPack, bool kMasked = false>
  void start() {
    launch_(Kernels::template kernel<Counter, kVector, kMasked>(), call_);
  }

  const UnitLayout& units_;
  const CountingReluLimits& limits_;
  Call call_;
  const Launch& launch_;
};

}  // namespace relustat::cuda
