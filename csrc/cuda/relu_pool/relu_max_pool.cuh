#pragma once

#include "cuda/pool/max_pool_call.h"
#include "cuda/relu/counting_relu.cuh"
#include "cuda/relu_pool/quad_access.cuh"

// The CUDA kernels of relu_max_pool. Torch-free: tests/cuda_host runs them without a GPU.
//
// Windows of 2 x 2 side by side are rectified, counted and pooled in one kernel. Of all others one
// kernel counts the elements, and a second one pools what is above 0: the input is read twice, and
// the rectified map is not in memory either.

namespace relustat::cuda {

template <class Format, class Counter, int kVector>
__global__ void __launch_bounds__(kCountingReluThreads, kCountingReluBlocksPerProcessor)
    relu_max_pool_quads_kernel(const __grid_constant__ CountingReluCall call) {
  using Access = QuadAccess<Format, kVector>;
  using Columns = ColumnZeros<Format, kVector>;
  CountingReluBlock<Format, Counter, kVector, false, Access, Columns>(call).run();
}

// Whether windows of 2 x 2 are whole in vectors, and a unit's elements in whole planes.
template <class Format>
bool are_relu_quads(const UnitLayout& units, const CountingReluCall& relu,
                    const MaxPoolCall& pool) {
  constexpr int64_t kSize = sizeof(typename Format::Bits);
  const WindowNumbers& h = pool.pooling.h;
  return pool.channels == 1 && pool.fits_narrow_index() &&
         are_vector_quads(pool, kPackBytes / kSize / 4, kSize) && 2 * h.output == h.input &&
         units.inner % (h.input * pool.pooling.w.input) == 0 && relu.mask == nullptr;
}

// Calls launch(kernel, call), if the kernel for quads serves this call; else returns false. There
// is none for float64 and for histograms per unit.
template <class Format, class Launch>
bool with_relu_quads_kernel(Binning binning, const UnitLayout& units,
                            const CountingReluLimits& limits, const CountingReluCall& relu,
                            const MaxPoolCall& pool, const Launch& launch) {
  constexpr int kPack = kPackBytes / sizeof(typename Format::Bits);
  CountingReluCall call = relu;
  // NaNs are counted for all units together.
  if (binning == Binning::kNone) call.layout.rows = 1;
  if (call.layout.rows > 1 || !are_relu_quads<Format>(units, call, pool)) return false;
  call.y = pool.y;
  call.offsets = static_cast<uint8_t*>(pool.offsets);
  call.outputs_in_row = Divider<int32_t>(pool.pooling.w.output);
  const auto start = [&]<class Counter>(const CountingTable& table) {
    call.tiling = make_counting_relu_tiling(units, kPack, table, limits);
    if (call.tiling.copies == 0) return false;
    launch(relu_max_pool_quads_kernel<Format, Counter, kPack>, call);
    return true;
  };
  using Keys = KeyCounter<Format, kPack>;
  using Linear = LinearCounter<Format, kPack, Placement::kShared>;
  using Search = SlotCounter<Format, Binning::kSearch, kPack, Placement::kShared>;
  using Nans = NanCounter<Format, kPack>;
  const CountingTable slots = CountingTable::of_slots(call.layout);
  switch (binning) {
    case Binning::kNone:
      return start.template operator()<Nans>(slots);
    case Binning::kSearch:
      return start.template operator()<Search>(slots);
    case Binning::kLinear:
      return start.template operator()<Linear>(slots);
    case Binning::kLog:
      return start.template operator()<Keys>(Keys::table(call.layout));
  }
  return false;
}

// Calls launch(kernel, call) with a kernel that counts, and returns whether it pools, too.
template <class Format, class Launch>
bool with_relu_pool_kernel(Binning binning, const UnitLayout& units,
                           const CountingReluLimits& limits, const CountingReluCall& relu,
                           const MaxPoolCall& pool, const Launch& launch) {
  if constexpr (sizeof(typename Format::Bits) <= sizeof(float)) {
    if (with_relu_quads_kernel<Format>(binning, units, limits, relu, pool, launch)) return true;
  }
  with_counting_relu_kernel_of<Format, /*kWrites=*/false>(binning, units, limits, relu, launch);
  return false;
}

}  // namespace relustat::cuda
