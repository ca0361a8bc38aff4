#pragma once

#include <cstdint>

#include "cpu/kernels/pool/max_unpool.h"
#include "pool/window.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// The number of phases that are unpooled at once, if the stride is not larger.
constexpr int kMostPhases = 3;

// The taps through which the windows of `step - shift` see the cells of some phases; -1: none.
struct ShiftedTaps {
  int64_t shift;
  int64_t taps[kMostPhases];
};

// A window that sees cells of some phases, and the switches of these cells.
struct Cover {
  static constexpr int64_t kNoSwitch = -2;
  int64_t window;  // the position of its value
  int64_t switches[kMostPhases];
};

// The cells of one axis as step * stride + phase. Cells of one phase, one step apart, see their
// windows through the same taps, and these windows are neighbours.
struct Phases {
  int64_t stride;
  int64_t steps;
  int64_t behind;  // the largest shift
  int64_t ahead;   // minus the smallest

  explicit Phases(const Window& window) {
    // A single step does not need its stride.
    stride = window.stride < window.input ? window.stride : window.input;
    steps = ceil_divide(window.input, stride);
    // Larger shifts, which come from large dilations, lead to no window.
    const int64_t most_behind = floor_divide(window.reach() - window.padding, window.stride);
    behind = clamp(most_behind, 0, steps - 1);
    const int64_t most_ahead = ceil_divide(window.padding + stride - 1, window.stride);
    ahead = clamp(most_ahead, 0, window.output - 1);
  }

  // The taps of each group of phases, those of earlier windows first.
  // taps: [kernel]; begins: [groups + 1].
  void find_taps(const Window& window, int64_t groups, ShiftedTaps* taps, int64_t* begins) const {
    const int64_t group_size = stride / groups;
    int64_t found = 0;
    for (int64_t group = 0; group < groups; ++group) {
      begins[group] = found;
      for (int64_t shift = behind; shift >= -ahead; --shift) {
        ShiftedTaps seen{shift, {-1, -1, -1}};
        bool any = false;
        for (int64_t i = 0; i < group_size; ++i) {
          const int64_t distance = shift * window.stride + window.padding + group * group_size + i;
          const int64_t tap = floor_divide(distance, window.dilation);
          if (tap * window.dilation != distance || tap < 0 || tap >= window.kernel) continue;
          seen.taps[i] = tap;
          any = true;
        }
        if (any) taps[found++] = seen;
      }
    }
    begins[groups] = found;
  }
};

// How contiguous planes are unpooled, and the layout of a thread's scratch memory.
//
// A vector holds one phase of many columns. Windows are copied into a band between margins of empty
// windows, so that every vector is full and every row sees the same number of windows.
struct UnpoolPlan {
  static constexpr int64_t kMostLanes = 64;
  static constexpr int64_t kBandBytes = 24576;

  Phases h;
  Phases w;
  int64_t margin;      // before the first window of a row of the band
  int64_t width;       // of a row of the band
  int64_t depths;      // bands side by side
  int64_t band_steps;  // of h that a band serves
  int64_t band_rows;
  int64_t groups;  // of w's phases, unpooled one after the other
  // Bytes from the start of the scratch.
  int64_t covers, h_taps, h_begins, w_taps, w_begins, clipped, band_y, band_switches, bytes;

  UnpoolPlan(const Pooling& pooling, int64_t element_bytes) : h(pooling.h), w(pooling.w) {
    margin = round_up(w.behind);
    const int64_t last_step = w.steps + w.ahead + kMostLanes;
    width = round_up(margin + (pooling.w.output > last_step ? pooling.w.output : last_step));
    depths = pooling.d.most_near();
    const int64_t row_bytes = width * depths * 2 * element_bytes;
    const int64_t fitting = kBandBytes / row_bytes - h.behind - h.ahead;
    band_steps = clamp(fitting, 1, h.steps);
    band_rows = band_steps + h.behind + h.ahead;

    groups = w.stride <= kMostPhases ? 1 : w.stride;
    bytes = 0;
    const auto take = [this](int64_t count, int64_t size) {
      const int64_t begin = bytes;
      bytes += (count * size + 63) / 64 * 64;
      return begin;
    };
    covers = take(pooling.taps(), sizeof(Cover));
    h_taps = take(pooling.h.kernel, sizeof(ShiftedTaps));
    h_begins = take(h.stride + 1, sizeof(int64_t));
    w_taps = take(pooling.w.kernel, sizeof(ShiftedTaps));
    w_begins = take(groups + 1, sizeof(int64_t));
    clipped = take(w.stride * lanes_at_once(), element_bytes);
    band_y = take(depths * band_rows * width, element_bytes);
    band_switches = take(depths * band_rows * width, element_bytes);
  }

 private:
  // The fewest lanes that hold all steps, or a whole vector of each kind.
  int64_t lanes_at_once() const {
    int64_t lanes = 1;
    while (lanes < w.steps && lanes < kMostLanes) lanes *= 2;
    return lanes;
  }

  // So that vectors of unshifted windows are aligned.
  static int64_t round_up(int64_t elements) { return (elements + 15) / 16 * 16; }
};

// The same for channels_last pixels, which need little memory.
struct PixelPlan {
  int64_t near;
  int64_t covers;
  int64_t bytes;

  explicit PixelPlan(const Pooling& pooling)
      : near(0),
        covers(pooling.w.input * static_cast<int64_t>(sizeof(Range))),
        bytes(covers + pooling.taps() * static_cast<int64_t>(sizeof(Cover))) {}
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
