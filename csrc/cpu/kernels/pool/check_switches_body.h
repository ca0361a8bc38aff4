#pragma once

#include "cpu/kernels/common/row_walk.h"
#include "cpu/kernels/pool/are_taps.h"
#include "cpu/kernels/pool/check_switches.h"
#include "pool/window.h"

// The CPU loop that validates switches. Included once per instruction set; torch-free and STL-free.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

template <class Offset>
bool check_switches_of(const SwitchesShare& share) {
  const Pooling pooling(share.pooling);
  const int64_t taps = pooling.taps();
  const int64_t channels = share.channels;
  const Range whole = pooling.w.whole_windows();
  const Range whole_d = pooling.d.whole_windows();
  const Range whole_h = pooling.h.whole_windows();
  const int64_t in_row = pooling.w.output * channels;
  const auto* const offsets = static_cast<const Offset*>(share.offsets);
  if (!are_taps(offsets + share.begin * in_row, (share.end - share.begin) * in_row, taps)) {
    return false;
  }
  // If a window lies within the input, every tap is valid.
  const bool all_whole = whole.size() == pooling.w.output && whole_d.size() == pooling.d.output &&
                         whole_h.size() == pooling.h.output;
  if (all_whole) return true;
  for (RowWalk walk(pooling.d.output, pooling.h.output, share.begin); walk.row < share.end;
       walk.next()) {
    const Offset* const row = offsets + walk.row * in_row;
    const bool is_whole = whole_d.contains(walk.d) && whole_h.contains(walk.h);
    const Range inside_d = is_whole ? Range{0, pooling.d.kernel} : pooling.d.taps_inside(walk.d);
    const Range inside_h = is_whole ? Range{0, pooling.h.kernel} : pooling.h.taps_inside(walk.h);
    const auto are_inside = [&](int64_t o) {
      const Range inside_w = pooling.w.taps_inside(o);
      for (int64_t i = o * channels; i < (o + 1) * channels; ++i) {
        const TapPosition position = share.positions[row[i]];
        if (!inside_d.contains(position.d) || !inside_h.contains(position.h) ||
            !inside_w.contains(position.w)) {
          return false;
        }
      }
      return true;
    };
    const Range known = is_whole ? whole : Range{0, 0};
    for (int64_t o = 0; o < known.begin; ++o) {
      if (!are_inside(o)) return false;
    }
    for (int64_t o = known.end; o < pooling.w.output; ++o) {
      if (!are_inside(o)) return false;
    }
  }
  return true;
}

}  // namespace

// Whether every switch is a cell of the input.
bool check_switches_share(const SwitchesShare& share) {
  return share.wide_offsets ? check_switches_of<int16_t>(share) : check_switches_of<uint8_t>(share);
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
