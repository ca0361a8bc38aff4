#pragma once

#include "cpu/kernels/common/vector.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// The side of a square that is transposed at once. A larger one needs more registers than there
// are.
template <class T>
constexpr int kSquare = kFullLanes<T> < 16 ? kFullLanes<T> : 16;

// Rows become columns. To interleave the first half of the rows with the second moves the bits of
// an element's row and column round by one. After as many rounds as a row has bits both have
// changed places.
template <class T, int kSize, int kRound = 1>
[[gnu::always_inline]] inline void transpose(Vector<T, kSize> (&rows)[kSize]) {
  if constexpr (kRound < kSize) {
    Vector<T, kSize> mixed[kSize];
    for (int i = 0; i < kSize / 2; ++i) {
      interleave<T, kSize>(rows[i], rows[i + kSize / 2], mixed[2 * i], mixed[2 * i + 1]);
    }
    transpose<T, kSize, 2 * kRound>(mixed);
    for (int i = 0; i < kSize; ++i) rows[i] = mixed[i];
  }
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
