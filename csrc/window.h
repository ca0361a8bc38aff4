#pragma once

#include <cstdint>

#include "host_device.h"

namespace relustat {

// Plain numbers, the same type for every instruction set. Pooling along one axis:
struct WindowNumbers {
  int64_t input;   // cells
  int64_t output;  // windows
  int64_t kernel;  // taps of a window
  int64_t stride;
  int64_t padding;
  int64_t dilation;
};

// Over three axes; where there are fewer, the first ones are of size 1.
struct PoolingNumbers {
  WindowNumbers d;
  WindowNumbers h;
  WindowNumbers w;
};

// What becomes of a cell at which several windows point.
enum class Overlap : int64_t {
  kLast,  // the last window's value, in row-major order
  kSum,
  kMax,  // NaN is the largest
};

inline namespace RELUSTAT_ISA {

RELUSTAT_HOST_DEVICE int64_t floor_divide(int64_t a, int64_t b) {  // b > 0
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

RELUSTAT_HOST_DEVICE int64_t ceil_divide(int64_t a, int64_t b) { return -floor_divide(-a, b); }

RELUSTAT_HOST_DEVICE int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}

// Whole numbers [begin, end).
struct Range {
  int64_t begin;
  int64_t end;
  RELUSTAT_HOST_DEVICE int64_t size() const { return end - begin; }
  RELUSTAT_HOST_DEVICE bool contains(int64_t i) const { return begin <= i && i < end; }
};

// Output o looks through its taps at cells of the input.
struct Window : WindowNumbers {
  // The distance from the first tap to the last.
  RELUSTAT_HOST_DEVICE int64_t reach() const { return (kernel - 1) * dilation; }
  RELUSTAT_HOST_DEVICE bool overlaps() const { return reach() >= stride && output > 1; }
  RELUSTAT_HOST_DEVICE int64_t start(int64_t o) const { return o * stride - padding; }
  RELUSTAT_HOST_DEVICE int64_t cell(int64_t o, int64_t tap) const {
    return start(o) + tap * dilation;
  }

  // The taps of window o that lie within the input.
  RELUSTAT_HOST_DEVICE Range taps_inside(int64_t o) const {
    const int64_t at = start(o);
    // Dividing by 1, too, takes its time.
    const int64_t before = dilation == 1 ? -at : ceil_divide(-at, dilation);
    const int64_t begin = before > 0 ? before : 0;
    const int64_t left = input - 1 - at;
    const int64_t end = (dilation == 1 ? left : floor_divide(left, dilation)) + 1;
    return {begin, clamp(end, begin, kernel > begin ? kernel : begin)};
  }

  // The windows of which all taps lie within the input.
  RELUSTAT_HOST_DEVICE Range whole_windows() const {
    const int64_t begin = clamp(ceil_divide(padding, stride), 0, output);
    const int64_t end = floor_divide(input - 1 - reach() + padding, stride) + 1;
    return {begin, clamp(end, begin, output)};
  }

  // The windows that may have a tap at cell i; with dilation, not all of them do.
  RELUSTAT_HOST_DEVICE Range windows_near(int64_t i) const {
    const int64_t begin = clamp(ceil_divide(i + padding - reach(), stride), 0, output);
    const int64_t end = floor_divide(i + padding, stride) + 1;
    return {begin, clamp(end, begin, output)};
  }

  // The most that windows_near() holds.
  RELUSTAT_HOST_DEVICE int64_t most_near() const { return clamp(reach() / stride + 1, 1, output); }

  // The tap that window o, one of windows_near(i), has at cell i; or -1.
  RELUSTAT_HOST_DEVICE int64_t tap_at(int64_t o, int64_t i) const {
    const int64_t distance = i - start(o);
    if (dilation == 1) return distance;
    return distance % dilation == 0 ? distance / dilation : -1;
  }

  // Calls visit(o, tap) for the windows that have a tap at cell i, in ascending order. `near` is
  // windows_near(i).
  template <class Visit>
  RELUSTAT_HOST_DEVICE void for_each_cover(int64_t i, Range near, const Visit& visit) const {
    for (int64_t o = near.begin; o < near.end; ++o) {
      const int64_t tap = tap_at(o, i);
      if (tap >= 0) visit(o, tap);
    }
  }

  // How many windows nn.MaxPool*d makes. In ceil mode the last may hang over the far end, but has
  // to begin within the input or the near padding.
  static RELUSTAT_HOST_DEVICE int64_t output_size(int64_t input, int64_t kernel, int64_t stride,
                                                  int64_t padding, int64_t dilation,
                                                  bool ceil_mode) {
    const int64_t room = input + 2 * padding - (kernel - 1) * dilation - 1;
    const int64_t steps = ceil_mode ? ceil_divide(room, stride) : floor_divide(room, stride);
    return ceil_mode && steps * stride >= input + padding ? steps : steps + 1;
  }
};

// A switch is the place of a tap among all of its window, row by row.
struct Pooling {
  Window d;
  Window h;
  Window w;

  explicit RELUSTAT_HOST_DEVICE Pooling(const PoolingNumbers& numbers)
      : d{numbers.d}, h{numbers.h}, w{numbers.w} {}
  RELUSTAT_HOST_DEVICE int64_t taps() const { return d.kernel * h.kernel * w.kernel; }
  RELUSTAT_HOST_DEVICE int64_t inputs() const { return d.input * h.input * w.input; }
  RELUSTAT_HOST_DEVICE int64_t outputs() const { return d.output * h.output * w.output; }
  RELUSTAT_HOST_DEVICE bool overlaps() const {
    return d.overlaps() || h.overlaps() || w.overlaps();
  }
  // The switch of a window row's first tap.
  RELUSTAT_HOST_DEVICE int64_t row_switch(int64_t tap_d, int64_t tap_h) const {
    return (tap_d * h.kernel + tap_h) * w.kernel;
  }
  RELUSTAT_HOST_DEVICE int64_t cell(int64_t i_d, int64_t i_h, int64_t i_w) const {
    return (i_d * h.input + i_h) * w.input + i_w;
  }
  RELUSTAT_HOST_DEVICE int64_t window(int64_t o_d, int64_t o_h, int64_t o_w) const {
    return (o_d * h.output + o_h) * w.output + o_w;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
