#pragma once

#include <cstdint>

#include "activation/key.h"
#include "common/with_format.h"
#include "cpu/kernels/activation/activation_hash.h"

// The CPU loop of activation_hash. Included once per instruction set; torch-free and STL-free.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The keys of consecutive units, cut into parts as wide as the elements, so that an element and its
// key lie in lanes of one width.
template <class Format>
class KeyBlock {
 public:
  using Bits = typename Format::Bits;

  static constexpr int64_t kMostUnits = 2048;  // keys and elements stay in the L1 cache

  KeyBlock(uint64_t seed, int64_t first_unit, int64_t units) : units_(units) {
    for (int64_t i = 0; i < units; ++i) {
      const uint64_t key = activation_key(seed, first_unit + i);
      for (int part = 0; part < kParts; ++part) {
        parts_[part][i] = static_cast<Bits>(key >> (part * kPartBits));
      }
    }
  }

  // The hash of the units' elements in one sample.
  uint64_t hash(const Bits* x) const {
    Bits hashes[kParts] = {};
    for (int64_t i = 0; i < units_; ++i) {
      const Bits mask = is_active<Format>(x[i]) ? static_cast<Bits>(~Bits{0}) : Bits{0};
      for (int part = 0; part < kParts; ++part) hashes[part] ^= mask & parts_[part][i];
    }
    uint64_t hash = 0;
    for (int part = 0; part < kParts; ++part) {
      hash |= static_cast<uint64_t>(hashes[part]) << (part * kPartBits);
    }
    return hash;
  }

 private:
  static constexpr int kParts = sizeof(uint64_t) / sizeof(Bits);
  static constexpr int kPartBits = 8 * sizeof(Bits);

  const int64_t units_;
  alignas(64) Bits parts_[kParts][kMostUnits];
};

template <class Format>
void hash_share_of(const ActivationHashShare& share) {
  using Keys = KeyBlock<Format>;
  const auto* const x = static_cast<const typename Format::Bits*>(share.x);
  const uint64_t seed = activation_seed(share.salt);
  for (int64_t unit = share.unit_begin; unit < share.unit_end; unit += Keys::kMostUnits) {
    const int64_t left = share.unit_end - unit;
    const Keys keys(seed, unit, left < Keys::kMostUnits ? left : Keys::kMostUnits);
    for (int64_t sample = share.begin; sample < share.end; ++sample) {
      share.hashes[sample] ^= keys.hash(x + sample * share.units + unit);
    }
  }
}

}  // namespace

void activation_hash_share(const ActivationHashShare& share) {
  with_format(share.dtype, [&]<class Format>() { hash_share_of<Format>(share); });
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
