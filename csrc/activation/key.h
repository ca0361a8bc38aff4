#pragma once

#include <cstdint>

#include "common/host_device.h"

// Zobrist hashing (1970) of activation patterns. Every unit has a key of 64 bits. The hash of a
// pattern is the XOR of the keys of its active units.

namespace relustat {
inline namespace RELUSTAT_ISA {

// SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014).
inline constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15u;

RELUSTAT_HOST_DEVICE uint64_t mix64(uint64_t word) {
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
  return word ^ (word >> 31);
}

// The start of a salt's sequence of keys.
RELUSTAT_HOST_DEVICE uint64_t activation_seed(int64_t salt) {
  return mix64(static_cast<uint64_t>(salt));
}

// Output number `unit` of the generator that starts at the seed.
RELUSTAT_HOST_DEVICE uint64_t activation_key(uint64_t seed, int64_t unit) {
  return mix64(seed + (static_cast<uint64_t>(unit) + 1) * kGoldenGamma);
}

// Whether the value is above 0. NaN is not.
template <class Format>
RELUSTAT_HOST_DEVICE bool is_active(typename Format::Bits bits) {
  using Bits = typename Format::Bits;
  return static_cast<Bits>(bits - 1) < Format::kInfinity;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
