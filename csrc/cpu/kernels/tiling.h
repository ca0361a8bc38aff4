#pragma once

#include "../../binning.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// Histograms that one thread fills side by side, see tally().
constexpr int64_t kLanes = 8;
// Units of fewer neighbouring elements are counted by columns: one count per column of the matrix
// [outer, units * inner], so that neighbours are counted in one vector.
constexpr int64_t kShortestRow = 32;
// A narrower matrix is read as one of several rows side by side.
constexpr int64_t kFewestColumns = 512;

// How a thread's scratch words are used.
struct Tiling {
  int64_t columns;      // 0: by rows
  int64_t lane_stride;  // words from one histogram to the next
  int64_t words;
};

inline Tiling make_tiling(int64_t units, int64_t inner, int64_t bins) {
  Tiling tiling{0, 0, 0};
  if (inner < kShortestRow) {
    const int64_t width = units * inner;
    tiling.columns = width * (width < kFewestColumns ? (kFewestColumns + width - 1) / width : 1);
  }
  if (bins > 0) {
    // An odd number of cache lines apart, lest equal bins of all lanes meet in one cache set.
    tiling.lane_stride = ((slot_count(bins) + 15) / 16 | 1) * 16;
  }
  tiling.words = tiling.columns + kLanes * tiling.lane_stride;
  return tiling;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
