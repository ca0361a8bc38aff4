#pragma once

#include "common/with_format.h"
#include "cpu/kernels/pool/max_pool.h"
#include "cpu/kernels/pool/pool_rows.h"
#include "cpu/kernels/pool/pool_small_planes.h"

// The CPU loops of max_pool. Included once per instruction set; torch-free and STL-free.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

template <class Format, class Offset>
void pool_share_by(const MaxPoolShare& share) {
  const PoolPlan plan(Pooling(share.pooling), share.channels, sizeof(typename Format::Bits));
  if (plan.is_by_planes) {
    PoolSmallPlanes<Format, Offset>(share, plan).run();
  } else {
    PoolRows<Format, Offset>(share).run();
  }
}

}  // namespace

void max_pool_share(const MaxPoolShare& share) {
  with_format(share.dtype, [&]<class Format>() {
    if (share.wide_offsets) {
      pool_share_by<Format, int16_t>(share);
    } else {
      pool_share_by<Format, uint8_t>(share);
    }
  });
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
