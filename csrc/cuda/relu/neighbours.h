#pragma once

#include "common/float_format.h"

namespace relustat::cuda {

// The numbers of a format that lie next to others.
template <class Format>
struct Neighbours {
  using Bits = typename Format::Bits;

  static RELUSTAT_HOST_DEVICE Bits above(Bits bits) { return from_steps(steps(bits) + 1); }
  static RELUSTAT_HOST_DEVICE Bits below(Bits bits) { return from_steps(steps(bits) - 1); }

  // The smallest number that is not below x; infinity if all others are below.
  static RELUSTAT_HOST_DEVICE Bits not_below(float x) {
    if constexpr (sizeof(Bits) == sizeof(float)) {
      return bit_cast<Bits>(x);
    } else {
      const auto nearest = static_cast<Bits>(Format::template rounded<uint32_t>(x));
      return Format::value(nearest) < x ? above(nearest) : nearest;
    }
  }

 private:
  // Counted from 0; both zeros are 0.
  static RELUSTAT_HOST_DEVICE int64_t steps(Bits bits) {
    const int64_t magnitude = bits & (Format::kSign - 1);
    return (bits & Format::kSign) != 0 ? -magnitude : magnitude;
  }
  static RELUSTAT_HOST_DEVICE Bits from_steps(int64_t steps) {
    return static_cast<Bits>(steps < 0 ? Format::kSign - steps : steps);
  }
};

}  // namespace relustat::cuda
