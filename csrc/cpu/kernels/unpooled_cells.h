#pragma once

#include "../../float_format.h"
#include "../../largest.h"
#include "vector.h"

// What becomes of cells, one in each lane, at which windows may point. Each kind is offered
// windows in row-major order: `points` is all ones where one points at the lane's cell. (They have
// constructors since GCC compiles those that it makes itself for another instruction set.)

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

template <class Format, int kLanes>
struct LastCells {
  using Bits = Vector<typename Format::Bits, kLanes>;
  static constexpr int kFull = kFullLanes<typename Format::Bits>;
  Bits last;

  LastCells() : last{} {}
  template <class Mask>
  void offer(Mask points, Bits y) {
    last = points ? y : last;
  }
  Bits bits() const { return last; }
};

template <class Format, int kLanes>
struct SumCells {
  using Bits = Vector<typename Format::Bits, kLanes>;
  using Value = typename Format::Value;
  using Values = Vector<Value, kLanes>;
  static constexpr int kFull = kFullLanes<Value>;
  Values sum;

  SumCells() : sum{} {}
  template <class Mask>
  void offer(Mask points, Bits y) {
    sum += values(points ? y : Bits{});
  }

  Bits bits() const {
    if constexpr (sizeof(Bits) == sizeof(Values)) {
      return bit_cast<Bits>(sum);
    } else {
      return __builtin_convertvector(Format::template rounded<Words>(sum), Bits);
    }
  }

 private:
  using Words = Vector<uint32_t, kLanes>;

  static Values values(Bits bits) {
    if constexpr (sizeof(Bits) == sizeof(Values)) {
      return bit_cast<Values>(bits);
    } else {
      return Format::template values<Values>(widen<uint32_t, kLanes, typename Format::Bits>(bits));
    }
  }
};

template <class Format, int kLanes>
struct MaxCells {
  using Bits = Vector<typename Format::Bits, kLanes>;
  static constexpr int kFull = kFullLanes<typename Format::Bits>;
  Largest<Format, Lanes<kLanes>> largest;
  Bits any;

  MaxCells() : any{} { largest.begin(least(), Bits{}); }
  template <class Mask>
  void offer(Mask points, Bits y) {
    largest.offer(points ? y : least(), Bits{});
    any |= bit_cast<Bits>(points);
  }
  Bits bits() const { return largest.bits & any; }

 private:
  static Bits least() {
    constexpr auto kNegativeInfinity = Format::kSign | Format::kInfinity;
    return splat<typename Format::Bits, kLanes>(
        static_cast<typename Format::Bits>(kNegativeInfinity));
  }
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
