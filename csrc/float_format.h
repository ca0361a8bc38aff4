#pragma once

#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

template <class To, class From>
RELUSTAT_HOST_DEVICE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast needs equal sizes");
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

// How a floating-point format lies in its bits, and the type its values are binned in.
// Zeros, NaNs and the rectified output are decided on the bits.
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

struct BFloat16 {
  using Bits = uint16_t;
  using Value = float;
  static constexpr Bits kSign = 0x8000u;
  static constexpr Bits kInfinity = 0x7f80u;
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) {
    return bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

struct Float16 {
  using Bits = uint16_t;
  using Value = float;
  static constexpr Bits kSign = 0x8000u;
  static constexpr Bits kInfinity = 0x7c00u;
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) {
    const uint32_t magnitude = bits & 0x7fffu;
    const uint32_t sign = static_cast<uint32_t>(bits & kSign) << 16;
    // Exponents are rebiased by 127 - 15; infinities and NaNs once more, to all ones.
    const uint32_t rebias = magnitude >= kInfinity ? 2 * (112u << 23) : 112u << 23;
    const uint32_t normal = (magnitude << 13) + rebias;
    // A float16 denormal is a multiple of 2^-24, and a normal float32.
    const uint32_t denormal =
        bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
    return bit_cast<float>((magnitude < 0x0400u ? denormal : normal) | sign);
  }
};

// A value's bits as a signed integer.
template <class Value>
struct Ieee;
template <>
struct Ieee<float> {
  using Key = int32_t;
  static constexpr int kMantissaBits = 23;
  static constexpr Key kInfinity = 0x7f800000;
};
template <>
struct Ieee<double> {
  using Key = int64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr Key kInfinity = 0x7ff0000000000000;
};

template <class Format>
RELUSTAT_HOST_DEVICE bool is_nan(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  return static_cast<Bits>(bits & static_cast<Bits>(~Format::kSign)) > Format::kInfinity;
}

// ReLU as torch computes it: NaN and -0.0 pass through, every number below zero becomes 0.
template <class Format>
RELUSTAT_HOST_DEVICE typename Format::Bits rectify(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  const bool below_zero =
      static_cast<Bits>(bits - (Format::kSign + 1)) < static_cast<Bits>(Format::kInfinity);
  return below_zero ? Bits{0} : bits;
}

// +0.0 or -0.0: the sign is the only bit that a doubling drops.
template <class Format>
RELUSTAT_HOST_DEVICE bool is_zero(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  return static_cast<Bits>(bits + bits) == 0;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
