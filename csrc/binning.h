#pragma once

#include <cstdint>

#include "float_format.h"

// value -> slot. With n bins a histogram has n + 3 slots:
//   0: underflow   1 .. n: the bins   n + 1: overflow   n + 2: NaN
// Bin i (slot i + 1) holds edges[i] <= x < edges[i + 1]; the last one includes its right edge, as
// numpy.histogram does. Edges are float32; wider inputs are compared with them in their own type.

namespace relustat {
inline namespace RELUSTAT_ISA {

enum class Binning : int64_t { kNone = 0, kSearch = 1, kLinear = 2, kLog = 3 };

// Slots are 16-bit, and the three flow slots are among them.
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

  // `below` is how many edges are known to be <= x; each step halves what is left to compare.
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

// Equal widths: the bin is guessed by multiplication and compared with its edge only where the
// guess lies within rounding of one.
template <class Value>
struct LinearBinner {
  const float* edges;  // [bins + 1]
  int32_t bins;
  Value lo, hi;
  Value scale;      // bins per unit of x
  Value tolerance;  // bound, in bins, on the error of `position`
  Value exempt;     // 0 where the guess at 0 is known to be right (zeros are common), else NaN

  static RELUSTAT_HOST_DEVICE LinearBinner make(const float* edges, int64_t bins) {
    LinearBinner binner;
    binner.edges = edges;
    binner.bins = static_cast<int32_t>(bins);
    binner.lo = edges[0];
    binner.hi = edges[bins];
    const double lo = edges[0], hi = edges[bins];
    const double scale = bins / (hi - lo);
    const double magnitude =
        (lo < 0 ? -lo : lo) > (hi < 0 ? -hi : hi) ? (lo < 0 ? -lo : lo) : (hi < 0 ? -hi : hi);
    // Rounding of x - lo, of the scale and of the product; and of the edges, which are float32
    // whatever type is binned. Doubled for safety.
    const double unit_roundoff = sizeof(Value) == sizeof(float) ? 0x1p-24 : 0x1p-53;
    const double tolerance = 2 * (4 * unit_roundoff * bins + 0x1p-24 * 4 * magnitude * scale);
    binner.scale = static_cast<Value>(scale);
    binner.tolerance = static_cast<Value>(tolerance);
    binner.exempt = bit_cast<float>(0x7fc00000u);
    if (binner.guesses_within_one() && lo <= 0 && 0 <= hi &&
        binner.guess(Value{0}) == binner.repaired(Value{0}, binner.guess(Value{0}))) {
      binner.exempt = 0;
    }
    return binner;
  }

  // False for bins so narrow, or ranges so extreme, that only a search finds the bin.
  RELUSTAT_HOST_DEVICE bool guesses_within_one() const {
    return tolerance < Value{0.25} && scale > Value{0x1p-100} && scale < Value{0x1p100};
  }

  // In bins from `lo`; late by no more than twice the tolerance and never early. Away from the
  // outer edges' outer sides, so that values out of range convert to an int and are not doubted.
  RELUSTAT_HOST_DEVICE Value position(Value x) const {
    const Value at = (x - lo) * scale + tolerance;
    const Value from_first = at > Value{0.5} ? at : Value{0.5};
    const Value last = static_cast<Value>(bins) - Value{0.5};
    return from_first < last ? from_first : last;
  }

  RELUSTAT_HOST_DEVICE bool is_doubtful(Value x) const {
    const Value at = position(x);
    const Value fraction = at - static_cast<Value>(static_cast<int32_t>(at));
    return (fraction < 2 * tolerance) & (x != exempt);
  }

  RELUSTAT_HOST_DEVICE int32_t guess(Value x) const {
    int32_t slot = static_cast<int32_t>(position(x)) + 1;
    slot = x < lo ? 0 : slot;
    slot = x > hi ? bins + 1 : slot;
    return x != x ? bins + 2 : slot;
  }

  RELUSTAT_HOST_DEVICE int32_t repaired(Value x, int32_t slot) const {
    const int32_t bin = slot < 1 ? 0 : slot > bins ? bins : slot - 1;
    return slot - ((slot > 1) & (x < static_cast<Value>(edges[bin])) ? 1 : 0);
  }

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    const int32_t slot = guess(x);
    return is_doubtful(x) ? repaired(x, slot) : slot;
  }
};

// Signed logarithmic bins: edges +-2^e * (1 + k / per_octave) and 0. The bin is a shift of the
// float's own bits; on the negative side two's complement makes the intervals closed on the left,
// as on the positive.
template <class Value>
struct LogBinner {
  using Key = typename Ieee<Value>::Key;

  int32_t bins;
  int32_t shift;
  int32_t first;  // step of the smallest positive edge, counted from the smallest float
  Key top;        // key of the last edge

  static RELUSTAT_HOST_DEVICE int32_t at_least(int32_t low, int32_t value) {
    return value > low ? value : low;
  }
  static RELUSTAT_HOST_DEVICE int32_t at_most(int32_t high, int32_t value) {
    return value < high ? value : high;
  }

  // Monotone in x, and 0 for -0.0 as for 0.0.
  static RELUSTAT_HOST_DEVICE Key key(Value x) {
    const Key bits = bit_cast<Key>(x);
    const Key negative = bits >> (sizeof(Key) * 8 - 1);
    const Key magnitude = bits & ~(Key{1} << (sizeof(Key) * 8 - 1));
    return (magnitude ^ negative) - negative;
  }

  static RELUSTAT_HOST_DEVICE LogBinner make(const float* edges, int64_t bins) {
    LogBinner binner;
    const Key lowest = key(edges[bins / 2 + 1]);
    binner.bins = static_cast<int32_t>(bins);
    binner.top = key(edges[bins]);
    // Both edges are powers of two, so their keys differ by whole octaves.
    const int64_t octaves = (binner.top - lowest) >> Ieee<Value>::kMantissaBits;
    const int64_t per_octave = octaves > 0 ? (bins / 2 - 1) / octaves : 1;
    binner.shift = Ieee<Value>::kMantissaBits;
    for (int64_t parts = per_octave; parts > 1; parts >>= 1) --binner.shift;
    binner.first = static_cast<int32_t>(lowest >> binner.shift);
    return binner;
  }

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    const Key exact = key(x);
    // The last bin includes its right edge.
    const Key k = exact == top ? top - 1 : exact;
    const int32_t step = static_cast<int32_t>(k >> shift);
    // The two bins beside 0 take in all steps nearer to 0 than the smallest edge. Below 0, `above`
    // is 0; from 0 on, `below` is.
    const int32_t above = at_least(0, step - first + 1);
    const int32_t below = at_most(0, step + first);
    const int32_t is_below_zero = static_cast<int32_t>(k >> (8 * sizeof(Key) - 1));  // -1 or 0
    const int32_t slot =
        at_most(bins + 1, at_least(0, bins / 2 + 1 + above + below + is_below_zero));
    return x != x ? bins + 2 : slot;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
