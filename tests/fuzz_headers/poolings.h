#pragma once

#include <algorithm>

#include "input.h"
#include "pool/window.h"

// Poolings that pass the checks of csrc/pool/checks.h.

namespace fuzz {

// Where a tap of window `o` is.
inline int64_t cell_of(const relustat::WindowNumbers& axis, int64_t o, int64_t tap) {
  return o * axis.stride - axis.padding + tap * axis.dilation;
}

// A window that sees no cell is refused.
inline bool sees_a_cell(const relustat::WindowNumbers& numbers, int64_t o) {
  for (int64_t tap = 0; tap < numbers.kernel; ++tap) {
    const int64_t cell = cell_of(numbers, o, tap);
    if (0 <= cell && cell < numbers.input) return true;
  }
  return false;
}

struct WindowLimits {
  int64_t input;
  int64_t kernel;
  int64_t step;  // of stride and dilation
};

constexpr WindowLimits kSmallWindows{8, 4, 4};
// As large as the checks let them be.
constexpr WindowLimits kLargeWindows{INT64_MAX - 1, 32767, (int64_t{1} << 40) - 1};

// All numbers but the number of windows.
inline relustat::WindowNumbers read_window(Input& input, const WindowLimits& limits) {
  relustat::WindowNumbers numbers{};
  numbers.input = input.size(1, limits.input);
  numbers.kernel = input.size(1, limits.kernel);
  numbers.stride = input.size(1, limits.step);
  numbers.padding = input.number(0, numbers.kernel / 2);
  numbers.dilation = input.size(1, limits.step);
  return numbers;
}

// Whether there are windows, and each sees a cell.
inline bool set_output(relustat::WindowNumbers& numbers, bool ceil_mode) {
  numbers.output = relustat::Window::output_size(numbers.input, numbers.kernel, numbers.stride,
                                                 numbers.padding, numbers.dilation, ceil_mode);
  for (int64_t o = 0; o < numbers.output; ++o) {
    if (!sees_a_cell(numbers, o)) return false;
  }
  return numbers.output > 0;
}

// Of few cells, over one to three axes.
inline bool read_pooling(Input& input, relustat::PoolingNumbers& pooling) {
  const int64_t axes = input.number(1, 3);
  const bool ceil_mode = input.flag();
  pooling.d = pooling.h = {1, 1, 1, 1, 0, 1};
  relustat::WindowNumbers* const windows[] = {&pooling.w, &pooling.h, &pooling.d};
  for (int64_t axis = 0; axis < axes; ++axis) {
    *windows[axis] = read_window(input, kSmallWindows);
    if (!set_output(*windows[axis], ceil_mode)) return false;
  }
  return true;
}

}  // namespace fuzz
