#pragma once

#include <cstdint>

#include "common/float_format.h"

// From a value to its slot. With n bins a histogram has n + 3 slots:
//   0: underflow   1 .. n: the bins   n + 1: overflow   n + 2: NaN
// Bin i (slot i + 1) holds edges[i] <= x < edges[i + 1]; the last one includes its right edge, as
// numpy.histogram does. Edges are float32; wider inputs are compared with them in their own type.

namespace relustat {
inline namespace RELUSTAT_ISA {

enum class Binning : int64_t { kNone = 0, kSearch = 1, kLinear = 2, kLog = 3 };

// Slots are 16-bit numbers, and three slots are for underflow, overflow and NaN.
constexpr int64_t kMaxBins = 65532;

RELUSTAT_HOST_DEVICE int64_t slot_count(int64_t bins) {
  // Without bins only NaNs are counted.
  return bins == 0 ? 1 : bins + 3;
}

// Any strictly increasing edges, by binary search without branches.
template <class Value>
struct SearchBinner {
  const float* edges;  // [bins + 1]
  int32_t bins;

  // `below` is the number of edges that are known to be <= x. Each step halves the rest.
  RELUSTAT_HOST_DEVICE int32_t step(Value x, int32_t below, int32_t half) const {
    return below + (static_cast<Value>(edges[below + half - 1]) <= x ? half : 0);
  }

  RELUSTAT_HOST_DEVICE int32_t finish(Value x, int32_t below) const {
    // The last bin includes its right edge. Edges that do not increase must not lead out of range.
    const bool is_last_edge = (below > bins) & (x == static_cast<Value>(edges[bins]));
    const int32_t slot = below - (is_last_edge ? 1 : 0);
    return x != x ? bins + 2 : slot;
  }

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    int32_t below = 0;
    for (int32_t size = bins + 1; size > 0; size -= (size + 1) / 2) {
      below = step(x, below, (size + 1) / 2);
    }
    return finish(x, below);
  }
};

// Equal widths: multiplication gives a guess of the slot. The value is compared with an edge only
// if the guess lies within rounding of it.
template <class Value>
struct LinearBinner {
  const float* edges;  // [bins + 1]
  int32_t bins;
  Value scale, offset;  // x * scale + offset is the slot, and the fraction of x in it
  Value least, most;    // the middles of slots 0 and bins + 1
  Value doubtful;       // a guess with a smaller fraction may be one too high
  Value last_edge;
  Value exempt;  // 0 if the guess at 0 is known to be right (zeros are common), else NaN
  bool guesses_within_one;

  static RELUSTAT_HOST_DEVICE LinearBinner make(const float* edges, int64_t bins) {
    LinearBinner binner;
    binner.edges = edges;
    binner.bins = static_cast<int32_t>(bins);
    binner.last_edge = edges[bins];
    const double lo = edges[0], hi = edges[bins];
    const double scale = bins / (hi - lo);
    const double magnitude =
        (lo < 0 ? -lo : lo) > (hi < 0 ? -hi : hi) ? (lo < 0 ? -lo : lo) : (hi < 0 ? -hi : hi);
    // In roundings: two for the product (its own and that of the scale), one for the offset, one
    // for the sum; for the edges, which are float32 for every type, their own and that of the ends.
    const double unit_roundoff = sizeof(Value) == sizeof(float) ? 0x1p-24 : 0x1p-53;
    const double in_bins = magnitude * scale;
    const double last = static_cast<double>(bins + 2);
    const double tolerance =
        1.01 * (unit_roundoff * (2 * in_bins + (1 + in_bins) + last) + 0x1p-24 * 2 * in_bins);
    // Shifted by the tolerance, a guess is never too low, and too high by twice the tolerance at
    // most.
    binner.scale = static_cast<Value>(scale);
    binner.offset = static_cast<Value>(1 - lo * scale + tolerance);
    binner.least = static_cast<Value>(0.5);
    binner.most = static_cast<Value>(static_cast<double>(bins) + 1.5);
    binner.doubtful = static_cast<Value>(2 * tolerance);
    // If bins are too narrow, or ranges too extreme, only a search finds the bin.
    binner.guesses_within_one = tolerance < 0.25 && scale > 0x1p-100 && scale < 0x1p100;
    binner.exempt = bit_cast<float>(0x7fc00000u);
    if (binner.guesses_within_one &&
        binner.guess(Value{0}) == binner.repaired(Value{0}, binner.guess(Value{0}))) {
      binner.exempt = 0;
    }
    return binner;
  }

  // NaN stays NaN: it fails every comparison.
  RELUSTAT_HOST_DEVICE Value position(Value x) const {
    const Value at = x * scale + offset;
    const Value from_least = least > at ? least : at;
    return most < from_least ? most : from_least;
  }

  // Any number for NaN, which is doubtful whatever it is: processors have a number for it, though
  // C++ has none, and to ask first takes an instruction of every seven.
  RELUSTAT_HOST_DEVICE int32_t guess(Value x) const { return static_cast<int32_t>(position(x)); }

  RELUSTAT_HOST_DEVICE bool is_doubtful(Value x) const {
    const Value how_far = position(x) - static_cast<Value>(guess(x));
    return !(how_far >= doubtful) & (x != exempt);
  }

  RELUSTAT_HOST_DEVICE int32_t repaired(Value x, int32_t slot) const {
    const int32_t edge = slot < 1 ? 0 : slot > bins ? bins : slot - 1;
    const bool is_late = (slot > 0) & (x < static_cast<Value>(edges[edge]));
    const int32_t found = x == last_edge ? bins : slot - (is_late ? 1 : 0);
    return x != x ? bins + 2 : found;
  }

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    return is_doubtful(x) ? repaired(x, guess(x)) : guess(x);
  }
};

// Signed logarithmic bins with edges +-2^e * (1 + k / per_octave) and 0. The bin is a shift of the
// float's bits without their sign.
template <class Value>
struct LogBinner {
  using Key = typename Ieee<Value>::Key;

  int32_t bins;
  int32_t shift;
  int32_t nearest;  // step of the two bins next to 0, counted from the smallest float
  int32_t beyond;   // step of the values beyond the outer edges
  Key top;          // the key of the outer edges
  int32_t zero_slot;

  static RELUSTAT_HOST_DEVICE Key magnitude(Value x) {
    return bit_cast<Key>(x) & ~(Key{1} << (sizeof(Key) * 8 - 1));
  }

  static RELUSTAT_HOST_DEVICE LogBinner make(const float* edges, int64_t bins) {
    LogBinner binner;
    const Key lowest = magnitude(edges[bins / 2 + 1]);
    binner.bins = static_cast<int32_t>(bins);
    binner.top = magnitude(edges[bins]);
    // Both edges are powers of two, so they differ by whole octaves.
    const int64_t octaves = (binner.top - lowest) >> Ieee<Value>::kMantissaBits;
    const int64_t per_octave = octaves > 0 ? (bins / 2 - 1) / octaves : 1;
    binner.shift = Ieee<Value>::kMantissaBits;
    for (int64_t parts = per_octave; parts > 1; parts >>= 1) --binner.shift;
    binner.nearest = static_cast<int32_t>(lowest >> binner.shift) - 1;
    // The step of `top`. Both keep every slot in range, for any edges.
    binner.beyond = binner.nearest + binner.bins / 2;
    if ((binner.top >> binner.shift) > binner.beyond) {
      binner.top = Key{binner.beyond} << binner.shift;
    }
    binner.zero_slot = binner.bins / 2 + 1;
    return binner;
  }

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    const bool is_below_zero = x < 0;
    const Key distance = magnitude(x);
    // Below 0 a bin includes its outer edge but not its inner one; so does the last bin.
    const Key inwards = is_below_zero | (distance == top) ? 1 : 0;
    const int32_t step = static_cast<int32_t>((distance - inwards) >> shift);
    const int32_t from_nearest = step > nearest ? step : nearest;
    const int32_t steps = (from_nearest < beyond ? from_nearest : beyond) - nearest;
    const int32_t slot = is_below_zero ? zero_slot - 1 - steps : zero_slot + steps;
    return x != x ? bins + 2 : slot;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
