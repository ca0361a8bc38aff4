#pragma once

#include "common/float_format.h"
#include "pool/largest.h"

// The results of unpooling in a cell, or in a vector of cells (see Single). Each kind of overlap is
// offered windows in row-major order; `points` says whether the window's maximum is in the cell.
// (They have constructors, because GCC compiles implicit ones for another instruction set.)

namespace relustat {
inline namespace RELUSTAT_ISA {

template <class Format, class Lanes>
struct LastCells {
  using Bits = typename Lanes::template Of<typename Format::Bits>;
  using Element = typename Format::Bits;  // the type of its arithmetic
  Bits last;

  RELUSTAT_HOST_DEVICE LastCells() : last{} {}
  template <class Mask>
  RELUSTAT_HOST_DEVICE void offer(Mask points, Bits y) {
    last = points ? y : last;
  }
  RELUSTAT_HOST_DEVICE Bits bits() const { return last; }
};

template <class Format, class Lanes>
struct SumCells {
  using Bits = typename Lanes::template Of<typename Format::Bits>;
  using Element = typename Format::Value;
  using Values = typename Lanes::template Of<Element>;
  Values sum;

  RELUSTAT_HOST_DEVICE SumCells() : sum{} {}
  template <class Mask>
  RELUSTAT_HOST_DEVICE void offer(Mask points, Bits y) {
    sum += values(points ? y : Bits{});
  }

  RELUSTAT_HOST_DEVICE Bits bits() const {
    if constexpr (sizeof(Bits) == sizeof(Values)) {
      return bit_cast<Bits>(sum);
    } else {
      const auto words = Format::template rounded<typename Lanes::template Of<uint32_t>>(sum);
      return Lanes::template narrow<typename Format::Bits>(words);
    }
  }

 private:
  static RELUSTAT_HOST_DEVICE Values values(Bits bits) {
    if constexpr (sizeof(Bits) == sizeof(Values)) {
      return bit_cast<Values>(bits);
    } else {
      return Format::template values<Values>(
          Lanes::template wide<uint32_t, typename Format::Bits>(bits));
    }
  }
};

template <class Format, class Lanes>
struct MaxCells {
  using Bits = typename Lanes::template Of<typename Format::Bits>;
  using Element = typename Format::Bits;
  Largest<Format, Lanes> largest;
  Bits any;

  RELUSTAT_HOST_DEVICE MaxCells() : any{} { largest.begin(least(), Bits{}); }
  template <class Mask>
  RELUSTAT_HOST_DEVICE void offer(Mask points, Bits y) {
    const auto all_ones = static_cast<Bits>(~Bits{});
    largest.offer(points ? y : least(), Bits{});
    any = points ? all_ones : any;
  }
  RELUSTAT_HOST_DEVICE Bits bits() const { return largest.bits & any; }

 private:
  static RELUSTAT_HOST_DEVICE Bits least() {
    constexpr auto kNegativeInfinity = Format::kSign | Format::kInfinity;
    return Lanes::splat(static_cast<typename Format::Bits>(kNegativeInfinity));
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
