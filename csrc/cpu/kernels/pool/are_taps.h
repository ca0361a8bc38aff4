#pragma once

#include <cstdint>

#include "common/host_device.h"

// Part of the loops that read switches, and compiled with them for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Whether all n switches are taps.
template <class Offset>
bool are_taps(const Offset* switches, int64_t n, int64_t taps) {
  Offset least = 0;
  Offset largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    least = switches[i] < least ? switches[i] : least;
    largest = switches[i] > largest ? switches[i] : largest;
  }
  return least >= 0 && largest < taps;
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
