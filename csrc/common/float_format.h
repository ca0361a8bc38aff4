#pragma once

#include <cstdint>
#include <cstring>

#include "common/host_device.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

template <class To, class From>
RELUSTAT_HOST_DEVICE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast needs equal sizes");
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

// The bits of a floating-point format, and the type in which its values are binned. Zeros, NaNs and
// the rectified output are decided on the bits.
struct Float32 {
  using Bits = uint32_t;
  using Value = float;
  static constexpr Bits kSign = 0x80000000u;
  static constexpr Bits kInfinity = 0x7f800000u;
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) { return bit_cast<float>(bits); }
};

struct Float64 {
  using Bits = uint64_t;
  using Value = double;
  static constexpr Bits kSign = 0x8000000000000000u;
  static constexpr Bits kInfinity = 0x7ff0000000000000u;
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) { return bit_cast<double>(bits); }
};

// The 16-bit formats also convert words that hold their bits: `Words` is uint32_t, or a vector of
// them, and `Values` the same of float.
struct BFloat16 {
  using Bits = uint16_t;
  using Value = float;
  static constexpr Bits kSign = 0x8000u;
  static constexpr Bits kInfinity = 0x7f80u;
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) {
    return values<Value>(static_cast<uint32_t>(bits));
  }

  template <class Values, class Words>
  static RELUSTAT_HOST_DEVICE Values values(Words words) {
    return bit_cast<Values>(words << 16);
  }
  // To nearest, ties to even.
  template <class Words, class Values>
  static RELUSTAT_HOST_DEVICE Words rounded(Values values) {
    const auto bits = bit_cast<Words>(values);
    const Words nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Words nan = (bits & 0u) + 0x7fc0u;
    return values != values ? nan : nearest;
  }
};

struct Float16 {
  using Bits = uint16_t;
  using Value = float;
  static constexpr Bits kSign = 0x8000u;
  static constexpr Bits kInfinity = 0x7c00u;
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) {
    return values<Value>(static_cast<uint32_t>(bits));
  }

  template <class Values, class Words>
  static RELUSTAT_HOST_DEVICE Values values(Words words) {
    const Words magnitude = words & 0x7fffu;
    const Words sign = (words & uint32_t{kSign}) << 16;
    // Exponents are rebiased by 127 - 15; infinities and NaNs once more, to all ones.
    const Words once = (magnitude << 13) + (112u << 23);
    const Words normal = magnitude >= uint32_t{kInfinity} ? once + (112u << 23) : once;
    // A float16 denormal is a multiple of 2^-24, as the floats from 0.5 to 1 are.
    const Words denormal = bit_cast<Words>(bit_cast<Values>(magnitude | kHalf) - 0.5f);
    return bit_cast<Values>((magnitude < 0x0400u ? denormal : normal) | sign);
  }
  // To nearest, ties to even.
  template <class Words, class Values>
  static RELUSTAT_HOST_DEVICE Words rounded(Values values) {
    const auto bits = bit_cast<Words>(values);
    const Words magnitude = bits & 0x7fffffffu;
    const Words rebiased = magnitude - (112u << 23);
    const Words normal = (rebiased + 0xfffu + ((rebiased >> 13) & 1u)) >> 13;
    const Words denormal = bit_cast<Words>(bit_cast<Values>(magnitude) + 0.5f) - kHalf;
    const Words zero = bits & 0u;
    const Words finite = magnitude < (113u << 23) ? denormal : normal;
    const Words or_infinity = magnitude >= 0x477ff000u ? zero + uint32_t{kInfinity} : finite;
    const Words nearest = magnitude > 0x7f800000u ? zero + 0x7e00u : or_infinity;
    return nearest | ((bits >> 16) & uint32_t{kSign});
  }

 private:
  static constexpr uint32_t kHalf = 0x3f000000u;  // the bits of 0.5f
};

// A value's bits as a signed integer.
template <class Value>
struct Ieee;
template <>
struct Ieee<float> {
  using Key = int32_t;
  static constexpr int kMantissaBits = 23;
};
template <>
struct Ieee<double> {
  using Key = int64_t;
  static constexpr int kMantissaBits = 52;
};

template <class Format>
RELUSTAT_HOST_DEVICE bool is_nan(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  return static_cast<Bits>(bits & static_cast<Bits>(~Format::kSign)) > Format::kInfinity;
}

// Whether values of this format are numbers of the machine.
template <class Format>
constexpr bool kIsNative = sizeof(typename Format::Bits) == sizeof(typename Format::Value);

// ReLU as torch computes it on the CPU: NaN and -0.0 pass through, and every number below zero
// becomes 0. A processor's maximum does exactly that, if denormals are not flushed.
template <class Format>
RELUSTAT_HOST_DEVICE typename Format::Bits rectify(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  if constexpr (kIsNative<Format>) {
    const auto value = Format::value(bits);
    return value < 0 ? Bits{0} : bits;
  }
  const bool below_zero =
      static_cast<Bits>(bits - (Format::kSign + 1)) < static_cast<Bits>(Format::kInfinity);
  return below_zero ? Bits{0} : bits;
}

// On CUDA devices torch takes the maximum of x and 0, which is 0 also for -0.0.
template <class Format>
RELUSTAT_HOST_DEVICE typename Format::Bits rectify_as_cuda(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  const bool below_zero = static_cast<Bits>(bits - Format::kSign) <= Format::kInfinity;
  return below_zero ? Bits{0} : bits;
}

// Whether it is +0.0 or -0.0: the sign is the only bit that a doubling drops.
template <class Format>
RELUSTAT_HOST_DEVICE bool is_zero(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  return static_cast<Bits>(bits + bits) == 0;
}

// Whether rectify() gives +0.0 or -0.0.
template <class Format>
RELUSTAT_HOST_DEVICE bool rectifies_to_zero(typename Format::Bits bits) {
  if constexpr (kIsNative<Format>) return Format::value(bits) <= 0;
  return is_zero<Format>(rectify<Format>(bits));
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
