#pragma once

#include "cpu/kernels/relu/span.h"
#include "relu/binning.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// Histograms that one thread fills side by side, see tally.h.
constexpr int32_t kLanes = 8;
// Units with fewer neighbouring elements are counted by columns: a count for each column of the
// matrix [outer, units * inner], so that neighbours are counted in one vector.
constexpr int64_t kShortestRow = 32;
// A narrower matrix is read with several of its rows as one.
constexpr int64_t kFewestColumns = 512;

// With this number of slots a table of pairs stays in the L1 cache, or nearly so.
constexpr int64_t kMostPairedSlots = 128;

// The distance from one lane to the next: an odd number of cache lines. Otherwise equal bins of all
// lanes would share a cache set, or the processor would confuse them by the last 12 bits of their
// addresses.
inline int64_t lane_stride(int64_t slots) { return ((slots + 31) / 32 | 1) * 32; }

// 16-bit elements are counted by their bits, in two tables, if there are enough.
constexpr int64_t kPatterns = int64_t{1} << 16;
constexpr int64_t kPatternTables = 2;
constexpr int64_t kFewestByPattern = 16384;
constexpr int64_t kFewestFloat16ByPattern = 65536;  // in use are eight times as many patterns

// The guesses of equal bins are checked for all patterns, if there are enough elements in
// histograms per unit.
constexpr int64_t kFewestToCheck = 1 << 18;

// Floats are counted in bins of any edges with a table of all upper halves of a float, if there are
// enough: lanes of histograms, the table, and the edges.
constexpr int64_t kMostTalliedEdges = 1021;
constexpr int64_t kEdgeHistogramWords = kLanes * 1072;
constexpr int64_t kEdgeTallyWords = kEdgeHistogramWords + kPatterns / 2 + 1024;
constexpr int64_t kFewestByEdges = 65536;

enum class Tallying { kOneByOne, kLanes, kPairs };

#ifdef RELUSTAT_TALLIES_ONE_BY_ONE
constexpr bool kHasAllTallies = false;
#else
constexpr bool kHasAllTallies = true;
#endif

// The fastest scheme for this number of elements, with clearing.
inline Tallying tallying(int64_t slots, int64_t elements) {
  if (!kHasAllTallies || elements < kSpan) return Tallying::kOneByOne;
  if (slots <= kMostPairedSlots && elements >= 2 * slots * slots) return Tallying::kPairs;
  return elements >= kLanes * slots ? Tallying::kLanes : Tallying::kOneByOne;
}

// From this length on, the remainders of a unit's runs do not matter.
constexpr int64_t kLongRun = 4 * kSpan;

// Columns of units that are counted together, each unit in a histogram of its own.
constexpr int64_t kUnitColumns = 32;
constexpr int64_t kMostUnitSlots = 2048;

// The matrix [outer, units * inner] in strips of columns; inner is less than kShortestRow.
struct UnitStrips {
  int64_t units;        // of a strip
  int64_t rows_in_one;  // narrow rows that are read as one
  int64_t strips;

  UnitStrips(int64_t outer, int64_t all_units, int64_t inner) {
    const int64_t width = all_units * inner;
    const int64_t fitting = kUnitColumns / inner;
    units = all_units < fitting ? all_units : fitting;
    rows_in_one = units < all_units ? 1 : kUnitColumns / width;
    rows_in_one = rows_in_one < outer ? rows_in_one : outer;
    strips = (all_units + units - 1) / units;
  }
};

// The layout of a thread's scratch words.
struct Tiling {
  int64_t columns;       // 0: by rows
  int64_t column_words;  // of all tables by column; a span can begin in the last column
  int64_t words;
};

// By column, a relative of ReLU has tables of inactive and saturated inputs and of slopes, of which
// one may fill two words.
constexpr int64_t kFamilyTables = 4;

inline Tiling make_tiling(int64_t units, int64_t inner, int64_t bins, Binning binning,
                          bool is_narrow, bool is_relative) {
  Tiling tiling{0, 0, 0};
  if (inner < kShortestRow) {
    const int64_t width = units * inner;
    tiling.columns = width * (width < kFewestColumns ? (kFewestColumns + width - 1) / width : 1);
    tiling.column_words = (tiling.columns + kSpan) * (is_relative ? kFamilyTables : 1);
  }
  const int64_t slots = slot_count(bins);
  const int64_t lane_counts = kLanes * lane_stride(slots);
  const int64_t pair_counts = slots <= kMostPairedSlots ? slots * slots : 0;
  const int64_t unit_counts = slots <= kMostUnitSlots ? (kUnitColumns + 1) * slots : 0;
  const int64_t paired = lane_counts > pair_counts ? lane_counts : pair_counts;
  const int64_t counts = paired > unit_counts ? paired : unit_counts;
  // A word holds two counts.
  const int64_t words = (counts + 1) / 2;
  const int64_t table_words = bins == 0                     ? 0
                              : is_narrow                   ? kPatternTables * kPatterns
                              : binning == Binning::kSearch ? kEdgeTallyWords
                                                            : 0;
  tiling.words = tiling.column_words + (words > table_words ? words : table_words);
  return tiling;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
