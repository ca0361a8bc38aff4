#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace relustat {

// A pooling along one axis in plain numbers, of one type for every instruction set.
struct WindowNumbers {
  int64_t input;   // cells
  int64_t output;  // windows
  int64_t kernel;  // taps of a window
  int64_t stride;
  int64_t padding;
  int64_t dilation;
};

// A pooling over three axes. If there are fewer, the first ones have size 1.
struct PoolingNumbers {
  WindowNumbers d;
  WindowNumbers h;
  WindowNumbers w;
};

// The result in a cell that holds the maximum of several windows.
enum class Overlap : int64_t {
  kLast,  // the last window's value, in row-major order
  kSum,
  kMax,  // NaN is the largest
};

inline namespace RELUSTAT_ISA {

// Index is the type of sizes and positions: int64_t, or int32_t on devices that are slow with it.

template <class Index>
RELUSTAT_HOST_DEVICE Index floor_divide(Index a, Index b) {  // b > 0
  return a >= 0 ? a / b : (a + 1) / b - 1;
}

template <class Index>
RELUSTAT_HOST_DEVICE Index ceil_divide(Index a, Index b) {
  return -floor_divide(-a, b);
}

template <class Index>
struct OfType {
  using Type = Index;  // takes no part in deducing Index
};
template <class Index>
RELUSTAT_HOST_DEVICE Index clamp(Index value, typename OfType<Index>::Type low,
                                 typename OfType<Index>::Type high) {
  return value < low ? low : value > high ? high : value;
}

// The integers [begin, end).
template <class Index>
struct BasicRange {
  Index begin;
  Index end;
  RELUSTAT_HOST_DEVICE Index size() const { return end - begin; }
  RELUSTAT_HOST_DEVICE bool contains(Index i) const { return begin <= i && i < end; }
};

// Output o sees cells of the input through its taps.
template <class Index>
struct BasicWindow {
  using Range = BasicRange<Index>;

  Index input;
  Index output;
  Index kernel;
  Index stride;
  Index padding;
  Index dilation;

  explicit RELUSTAT_HOST_DEVICE BasicWindow(const WindowNumbers& numbers)
      : input(static_cast<Index>(numbers.input)),
        output(static_cast<Index>(numbers.output)),
        kernel(static_cast<Index>(numbers.kernel)),
        stride(static_cast<Index>(numbers.stride)),
        padding(static_cast<Index>(numbers.padding)),
        dilation(static_cast<Index>(numbers.dilation)) {}

  // The distance from the first tap to the last.
  RELUSTAT_HOST_DEVICE Index reach() const { return (kernel - 1) * dilation; }
  RELUSTAT_HOST_DEVICE bool overlaps() const { return reach() >= stride && output > 1; }
  RELUSTAT_HOST_DEVICE Index start(Index o) const { return o * stride - padding; }
  RELUSTAT_HOST_DEVICE Index cell(Index o, Index tap) const { return start(o) + tap * dilation; }
  RELUSTAT_HOST_DEVICE bool is_inside(Index cell) const { return 0 <= cell && cell < input; }

  // The taps of window o whose cells are in `cells`.
  RELUSTAT_HOST_DEVICE Range taps_within(Index o, Range cells) const {
    const Index at = start(o);
    // A division by 1 takes time, too.
    const Index before = dilation == 1 ? cells.begin - at : ceil_divide(cells.begin - at, dilation);
    const Index begin = before > 0 ? before : 0;
    const Index left = cells.end - 1 - at;
    const Index end = (dilation == 1 ? left : floor_divide(left, dilation)) + 1;
    return {begin, clamp(end, begin, kernel > begin ? kernel : begin)};
  }
  RELUSTAT_HOST_DEVICE Range taps_inside(Index o) const { return taps_within(o, {0, input}); }

  // The windows with all taps within the input.
  RELUSTAT_HOST_DEVICE Range whole_windows() const {
    const Index begin = clamp(ceil_divide(padding, stride), 0, output);
    const Index end = floor_divide(input - 1 - reach() + padding, stride) + 1;
    return {begin, clamp(end, begin, output)};
  }

  // The windows that may have a tap at cell i; with dilation, not all of them do.
  RELUSTAT_HOST_DEVICE Range windows_near(Index i) const {
    const Index begin = clamp(ceil_divide(i + padding - reach(), stride), 0, output);
    const Index end = floor_divide(i + padding, stride) + 1;
    return {begin, clamp(end, begin, output)};
  }

  // The largest number of windows in windows_near().
  RELUSTAT_HOST_DEVICE Index most_near() const { return clamp(reach() / stride + 1, 1, output); }

  // The tap that window o, one of windows_near(i), has at cell i; or -1.
  RELUSTAT_HOST_DEVICE Index tap_at(Index o, Index i) const {
    const Index distance = i - start(o);
    if (dilation == 1) return distance;
    return distance % dilation == 0 ? distance / dilation : -1;
  }

  // Calls visit(o, tap) for the windows that have a tap at cell i, in ascending order. `near` is
  // windows_near(i).
  template <class Visit>
  RELUSTAT_HOST_DEVICE void for_each_cover(Index i, Range near, const Visit& visit) const {
    for (Index o = near.begin; o < near.end; ++o) {
      const Index tap = tap_at(o, i);
      if (tap >= 0) visit(o, tap);
    }
  }

  // The number of windows that nn.MaxPool*d makes. In ceil mode the last window may reach beyond
  // the far end, but it begins within the input or the near padding. Nothing overflows for an input
  // below the largest integer.
  static RELUSTAT_HOST_DEVICE Index output_size(Index input, Index kernel, Index stride,
                                                Index padding, Index dilation, bool ceil_mode) {
    const Index room = input - 1 - (kernel - 1) * dilation + 2 * padding;
    const Index steps = ceil_mode ? ceil_divide(room, stride) : floor_divide(room, stride);
    return ceil_mode && (steps - 1) * stride - padding >= input - stride ? steps : steps + 1;
  }
};

// A switch is the position of a tap in its window, counted row by row.
template <class Index>
struct BasicPooling {
  BasicWindow<Index> d;
  BasicWindow<Index> h;
  BasicWindow<Index> w;

  explicit RELUSTAT_HOST_DEVICE BasicPooling(const PoolingNumbers& numbers)
      : d{numbers.d}, h{numbers.h}, w{numbers.w} {}
  RELUSTAT_HOST_DEVICE Index taps() const { return d.kernel * h.kernel * w.kernel; }
  RELUSTAT_HOST_DEVICE Index inputs() const { return d.input * h.input * w.input; }
  RELUSTAT_HOST_DEVICE Index outputs() const { return d.output * h.output * w.output; }
  RELUSTAT_HOST_DEVICE bool overlaps() const {
    return d.overlaps() || h.overlaps() || w.overlaps();
  }
  // The switch of a window row's first tap.
  RELUSTAT_HOST_DEVICE Index row_switch(Index tap_d, Index tap_h) const {
    return (tap_d * h.kernel + tap_h) * w.kernel;
  }
  RELUSTAT_HOST_DEVICE Index cell(Index i_d, Index i_h, Index i_w) const {
    return (i_d * h.input + i_h) * w.input + i_w;
  }
  RELUSTAT_HOST_DEVICE Index window(Index o_d, Index o_h, Index o_w) const {
    return (o_d * h.output + o_h) * w.output + o_w;
  }
};

using Range = BasicRange<int64_t>;
using Window = BasicWindow<int64_t>;
using Pooling = BasicPooling<int64_t>;

}  // namespace RELUSTAT_ISA
}  // namespace relustat
