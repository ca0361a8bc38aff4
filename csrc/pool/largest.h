#pragma once

#include <cstdint>

#include "common/float_format.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

// How the values of a format compare. float32 and float64 compare as they are.
template <class Format>
struct Ranking {
  using Key = typename Format::Value;
  template <class Keys, class Bits>
  static RELUSTAT_HOST_DEVICE Keys keys(Bits bits) {
    return bit_cast<Keys>(bits);
  }
  template <class Keys>
  static RELUSTAT_HOST_DEVICE auto is_nan(Keys keys) {
    return keys != keys;
  }
};

// 16-bit formats compare as integers: magnitude times sign, both zeros as 0, and NaN as the
// largest.
template <class Format>
struct IntegerRanking {
  using Key = int16_t;
  static constexpr Key kNan = 0x7fff;
  template <class Keys, class Bits>
  static RELUSTAT_HOST_DEVICE Keys keys(Bits bits) {
    const Keys signed_bits = bit_cast<Keys>(bits);
    const auto magnitude = static_cast<Keys>(signed_bits & kNan);
    const auto sign = static_cast<Keys>(signed_bits >> 15);
    const auto keys = static_cast<Keys>((magnitude ^ sign) - sign);
    const auto nan = static_cast<Keys>(magnitude | kNan);
    return magnitude > static_cast<Key>(Format::kInfinity) ? nan : keys;
  }
  template <class Keys>
  static RELUSTAT_HOST_DEVICE auto is_nan(Keys keys) {
    return keys == kNan;
  }
};
template <>
struct Ranking<BFloat16> : IntegerRanking<BFloat16> {};
template <>
struct Ranking<Float16> : IntegerRanking<Float16> {};

// A single value. The CPU's loops have vectors.
struct Single {
  template <class T>
  using Of = T;
  template <class To, class From>
  static RELUSTAT_HOST_DEVICE To wide(From value) {
    return value;
  }
  template <class To, class From>
  static RELUSTAT_HOST_DEVICE To narrow(From value) {
    return static_cast<To>(value);
  }
  template <class T>
  static RELUSTAT_HOST_DEVICE T splat(T value) {
    return value;
  }
};

// The largest value so far and its position, as in PyTorch: the first of equals, the last of NaNs.
template <class Format, class Lanes, class Rank = Ranking<Format>>
struct Largest {
  using Bits = typename Lanes::template Of<typename Format::Bits>;
  using Keys = typename Lanes::template Of<typename Rank::Key>;

  Bits bits;
  Bits position;
  Keys key;

  RELUSTAT_HOST_DEVICE Largest() : bits{}, position{}, key{} {}

  // Begins with -inf, which stays if nothing larger comes.
  RELUSTAT_HOST_DEVICE void begin(Bits negative_infinity, Bits first_position) {
    bits = negative_infinity;
    position = first_position;
    key = Rank::template keys<Keys>(negative_infinity);
  }

  // Returns whether the new value takes over.
  RELUSTAT_HOST_DEVICE auto offer(Bits other, Bits other_position) {
    const Keys other_key = Rank::template keys<Keys>(other);
    const auto takes_over = (other_key > key) | Rank::is_nan(other_key);
    bits = takes_over ? other : bits;
    position = takes_over ? other_position : position;
    key = takes_over ? other_key : key;
    return takes_over;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
