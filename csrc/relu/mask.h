#pragma once

#include <cstdint>

#include "relu/unit_layout.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

// A mask has a byte for each position of a dense tensor [outer, units, inner], in the order [outer,
// inner]. All units have the same positions. Where the byte is 0, elements are rectified and not
// counted.
//
// A kernel counts them in slot 0 of a histogram, and takes their number from it at the end: so the
// loops that count need not leave out elements. Without bins, the only slot is that of NaNs, and
// nothing is added to it.

// Walks through the elements in the order of memory.
class MaskWalk {
 public:
  // `element`: the first one.
  RELUSTAT_HOST_DEVICE MaskWalk(const uint8_t* mask, const UnitLayout& layout, int64_t element)
      : mask_(mask), layout_(layout) {
    const int64_t row = element / layout.inner;
    inner_ = element - row * layout.inner;
    outer_ = row / layout.units;
    unit_ = row - outer_ * layout.units;
  }

  RELUSTAT_HOST_DEVICE const uint8_t* now() const {
    return mask_ + outer_ * layout_.inner + inner_;
  }

  // The number of elements from here on whose bytes lie side by side, or are the same byte.
  RELUSTAT_HOST_DEVICE int64_t run() const {
    return has_same_byte() ? layout_.units - unit_ : layout_.inner - inner_;
  }
  RELUSTAT_HOST_DEVICE bool has_same_byte() const { return layout_.inner == 1; }

  // At most by run().
  RELUSTAT_HOST_DEVICE void advance(int64_t elements) {
    if (has_same_byte()) {
      unit_ += elements;
    } else {
      inner_ += elements;
      if (inner_ < layout_.inner) return;
      inner_ = 0;
      ++unit_;
    }
    if (unit_ < layout_.units) return;
    unit_ = 0;
    ++outer_;
  }

 private:
  const uint8_t* mask_;
  UnitLayout layout_;
  int64_t outer_;
  int64_t unit_;
  int64_t inner_;
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
