#pragma once

#include "relu/binning.h"

namespace relustat::cuda {

// LogBins of a format's own bits. The key of a number is the upper part of its bits, after numbers
// below 0 are moved one step towards 0: below 0, bins include their outer edge. All numbers of one
// key lie in one bin. So a block counts keys, at two instructions each, and looks for bins once.
template <class Format>
struct KeyBinner {
  using Bits = typename Format::Bits;
  static constexpr int kBits = 8 * sizeof(Bits);
  static constexpr Bits kMagnitude = Format::kSign - 1;

  LogBinner<float> binner;
  int32_t shift;  // from the bits to the key
  // Elements of this magnitude and above have no key: NaNs, the outer edges and values beyond. It
  // is 0, so that there are no keys, if a key would hold several bins or keys are too many.
  Bits limit;

  static RELUSTAT_HOST_DEVICE KeyBinner make(const float* edges, int64_t bins, int most_key_bits) {
    KeyBinner keys;
    keys.binner = LogBinner<float>::make(edges, bins);
    keys.shift = keys.binner.shift - kDroppedBits;
    keys.limit = 0;
    const bool are_few = keys.shift >= 0 && keys.key_bits() <= most_key_bits;
    if (are_few && denormals_share_a_bin(keys.binner)) keys.limit = magnitude(keys.binner.top);
    return keys;
  }

  RELUSTAT_HOST_DEVICE int key_bits() const { return kBits - shift; }

  RELUSTAT_HOST_DEVICE bool is_key(Bits bits) const { return (bits & kMagnitude) < limit; }

  static RELUSTAT_HOST_DEVICE Bits moved(Bits bits) {
    return static_cast<Bits>(bits - (bits >> (kBits - 1)));
  }

  // The slot of an element with a key, by the key of its moved bits.
  RELUSTAT_HOST_DEVICE int32_t slot_of_key(uint32_t key) const {
    const auto first = static_cast<Bits>(key << shift);
    // Only -0.0 is moved there.
    if (key == static_cast<uint32_t>(kMagnitude) >> shift) return binner.slot(0.0f);
    const bool is_below_zero = (first & Format::kSign) != 0;
    return binner.slot(Format::value(static_cast<Bits>(first + (is_below_zero ? 1 : 0))));
  }

  RELUSTAT_HOST_DEVICE int32_t slot(Bits bits) const { return binner.slot(Format::value(bits)); }

 private:
  static constexpr int kMantissaBits = Format::kInfinity == 0x7f80u ? 7 : kBits == 16 ? 10 : 23;
  static constexpr int kDroppedBits = 23 - kMantissaBits;

  // Of float32, those with 5 bits for the exponent have fewer.
  static RELUSTAT_HOST_DEVICE bool denormals_share_a_bin(const LogBinner<float>& binner) {
    constexpr int64_t kLeastNormal = (127 - 14) << 23;
    return kMantissaBits != 10 || int64_t{binner.nearest + 1} << binner.shift >= kLeastNormal;
  }

  static RELUSTAT_HOST_DEVICE Bits magnitude(int32_t top) {
    if constexpr (kMantissaBits == 10) {
      // Infinity if it is beyond all numbers.
      return static_cast<Bits>(Format::template rounded<uint32_t>(bit_cast<float>(top)));
    } else {
      return static_cast<Bits>(top >> kDroppedBits);
    }
  }
};

}  // namespace relustat::cuda
