#pragma once

#include "common/with_format.h"
#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/put_values.h"
#include "cpu/kernels/pool/unpool_pairs.h"
#include "cpu/kernels/pool/unpool_slices.h"
#include "cpu/kernels/pool/unpool_small_planes.h"

// The CPU loops of max_unpool. Included once per instruction set; torch-free and STL-free.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Values that are moved as bits: 16-bit formats share a loop.
template <class Format>
struct AsMoved {
  using Type = Format;
};
template <>
struct AsMoved<Float16> {
  using Type = BFloat16;
};

template <class Format, class Offset, template <class> class Put>
bool unpool_with(const MaxUnpoolShare& share, const UnpoolPlan& plan) {
  return plan.is_by_planes ? UnpoolSmallPlanes<Format, Offset, Put>(share, plan).run()
                           : UnpoolSlices<Format, Offset, Put>(share, plan).run();
}

// No cell is seen by two windows.
template <class Format, class Offset, template <class> class Put>
bool unpool_alone(const MaxUnpoolShare& share, const UnpoolPlan& plan) {
  // Pairs are of windows whose offsets take a byte.
  if constexpr (sizeof(Offset) == 1) {
    if (plan.is_in_pairs) return UnpoolPairs<Format, Offset, Put>(share).run();
  }
  return unpool_with<Format, Offset, Put>(share, plan);
}

template <class Format, class Offset>
bool unpool_share_by(const MaxUnpoolShare& share) {
  using Moved = typename AsMoved<Format>::Type;
  const Pooling pooling(share.pooling);
  const UnpoolPlan plan(pooling, share.planes, share.channels, share.dtype, share.overlap);
  memset(static_cast<char*>(share.scratch) + plan.kept, 0, plan.bytes - plan.kept);
  if (!pooling.overlaps()) {
    return share.overlap == Overlap::kSum ? unpool_alone<Format, Offset, PutSingleSum>(share, plan)
                                          : unpool_alone<Moved, Offset, PutLast>(share, plan);
  }
  switch (share.overlap) {
    case Overlap::kLast:
      return unpool_with<Moved, Offset, PutLast>(share, plan);
    case Overlap::kSum:
      if constexpr (kIsNative<Format>) return unpool_with<Format, Offset, PutSum>(share, plan);
      if constexpr (!kIsNative<Format>) {
        return unpool_with<Format, Offset, PutRoundedSum>(share, plan);
      }
    case Overlap::kMax:
      return unpool_with<Format, Offset, PutLargest>(share, plan);
  }
  return false;
}

}  // namespace

// Whether every switch is a cell of the input.
bool max_unpool_share(const MaxUnpoolShare& share) {
  bool all_right = true;
  with_format(share.dtype, [&]<class Format>() {
    all_right = share.wide_offsets ? unpool_share_by<Format, int16_t>(share)
                                   : unpool_share_by<Format, uint8_t>(share);
  });
  return all_right;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
