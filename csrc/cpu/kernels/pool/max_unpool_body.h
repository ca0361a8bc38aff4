#pragma once

#include "common/with_format.h"
#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/unpool_pixels.h"
#include "cpu/kernels/pool/unpool_planes.h"
#include "pool/unpooled_cells.h"

// The CPU loops of max_unpool. Included once per instruction set; torch-free and STL-free.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// With overlap "last", values are moved as bits: 16-bit formats share a loop.
template <class Format>
struct Moved {
  using Type = Format;
};
template <>
struct Moved<Float16> {
  using Type = BFloat16;
};

template <class Format, class Offset, template <class, class> class Cells>
void unpool_into(const MaxUnpoolShare& share) {
  if (share.channels > 0) {
    UnpoolPixels<Format, Offset, Cells>(share).run();
  } else {
    UnpoolPlanes<Format, Offset, Cells>(share).run();
  }
}

template <class Format, class Offset>
void unpool_share_by(const MaxUnpoolShare& share) {
  switch (share.overlap) {
    case Overlap::kLast:
      return unpool_into<typename Moved<Format>::Type, Offset, LastCells>(share);
    case Overlap::kSum:
      return unpool_into<Format, Offset, SumCells>(share);
    case Overlap::kMax:
      return unpool_into<Format, Offset, MaxCells>(share);
  }
}

}  // namespace

void max_unpool_share(const MaxUnpoolShare& share) {
  with_format(share.dtype, [&]<class Format>() {
    if (share.wide_offsets) {
      unpool_share_by<Format, int16_t>(share);
    } else {
      unpool_share_by<Format, uint8_t>(share);
    }
  });
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
