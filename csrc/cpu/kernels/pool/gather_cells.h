#pragma once

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/pool/unpool_plan.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

template <class T, int kLanes, int kPhases, int kVectors>
struct PhaseVectors {
  Vector<T, kLanes> of[kPhases][kVectors];
};

// Offsets in lanes as wide as the values'.
template <class Bits, int kLanes, class Offset>
Vector<Bits, kLanes> load_switches(const Offset* offsets) {
  return widen<Bits, kLanes, Offset>(load<kLanes>(offsets));
}

// Unpools the windows of `covers` into the cells of kPhases phases, kVectors vectors of each.
template <class Cells, int kLanes, int kPhases, int kVectors, class Bits, class Offset>
PhaseVectors<Bits, kLanes, kPhases, kVectors> gather(const Bits* y, const Offset* offsets,
                                                     const Cover* covers, int64_t n) {
  Cells cells[kPhases][kVectors];
  for (int64_t i = 0; i < n; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t window = covers[i].window + v * kLanes;
      const auto value = load<kLanes>(y + window);
      const auto switches = load_switches<Bits, kLanes>(offsets + window);
      for (int phase = 0; phase < kPhases; ++phase) {
        const auto here = splat<Bits, kLanes>(static_cast<Bits>(covers[i].switches[phase]));
        cells[phase][v].offer(switches == here, value);
      }
    }
  }
  PhaseVectors<Bits, kLanes, kPhases, kVectors> bits;
  for (int phase = 0; phase < kPhases; ++phase) {
    for (int v = 0; v < kVectors; ++v) bits.of[phase][v] = cells[phase][v].bits();
  }
  return bits;
}

template <class T>
T* part_of(void* scratch, int64_t begin) {
  return reinterpret_cast<T*>(static_cast<char*>(scratch) + begin);
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
