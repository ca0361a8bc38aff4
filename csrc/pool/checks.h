#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "pool/window.h"

// The checks of the arguments of max_pool and max_unpool, for every backend.
// relustat/ops/reference/checks.py and pool_geometry.py have the same checks in the same words; a
// test compares them.

namespace relustat {
inline namespace RELUSTAT_ISA {

// A pooling as in the arguments of the ops: a number for each of one to three axes.
struct PoolingOptions {
  at::IntArrayRef kernel_size;
  at::IntArrayRef stride;
  at::IntArrayRef padding;
  at::IntArrayRef dilation;
  bool ceil_mode;

  int64_t axes() const { return static_cast<int64_t>(kernel_size.size()); }
};

constexpr int64_t kMostNarrowTaps = 256;  // offsets fit uint8
constexpr int64_t kMostTaps = 32767;      // offsets fit int16

inline std::string op_name(const char* op, int64_t axes) {
  return std::string(op) + std::to_string(axes) + "d";
}

inline WindowNumbers check_window(const std::string& op, const PoolingOptions& options,
                                  int64_t axis, int64_t input) {
  const int64_t kernel = options.kernel_size[axis];
  const int64_t stride = options.stride[axis];
  const int64_t padding = options.padding[axis];
  const int64_t dilation = options.dilation[axis];
  TORCH_CHECK_VALUE(kernel > 0 && stride > 0 && dilation > 0, op,
                    ": kernel_size, stride and dilation must be positive, got kernel_size=", kernel,
                    ", stride=", stride, ", dilation=", dilation);
  // What follows is computed without overflow.
  constexpr int64_t kHuge = int64_t{1} << 40;
  TORCH_CHECK_VALUE(kernel <= kMostTaps && stride < kHuge && dilation < kHuge, op,
                    ": kernel_size must be at most ", kMostTaps,
                    ", stride and dilation below 2**40, got kernel_size=", kernel,
                    ", stride=", stride, ", dilation=", dilation);
  TORCH_CHECK_VALUE(0 <= padding && padding <= kernel / 2, op,
                    ": padding must be at most half the kernel size, got padding=", padding,
                    ", kernel_size=", kernel);
  const int64_t output =
      Window::output_size(input, kernel, stride, padding, dilation, options.ceil_mode);
  TORCH_CHECK_VALUE(output > 0, op, ": the output would be empty, got an input of ", input,
                    " cells with kernel_size=", kernel, ", stride=", stride, ", padding=", padding,
                    ", dilation=", dilation);
  const WindowNumbers numbers{input, output, kernel, stride, padding, dilation};
  const Window window(numbers);
  const Range whole = window.whole_windows();
  for (int64_t o = 0; o < output; ++o) {
    if (o == whole.begin && whole.size() > 0) o = whole.end;
    if (o == output) break;
    TORCH_CHECK_VALUE(window.taps_inside(o).size() > 0, op,
                      ": every window must hold a cell of the input, got none in window ", o,
                      " of an input of ", input, " cells with kernel_size=", kernel,
                      ", stride=", stride, ", padding=", padding, ", dilation=", dilation);
  }
  return numbers;
}

// `spatial`: the sizes of the pooled axes.
inline PoolingNumbers check_pooling(const std::string& op, const PoolingOptions& options,
                                    at::IntArrayRef spatial) {
  const int64_t axes = options.axes();
  TORCH_CHECK_VALUE(1 <= axes && axes <= 3, op, ": kernel_size must have 1 to 3 numbers, got ",
                    axes);
  const auto size = static_cast<size_t>(axes);
  TORCH_CHECK_VALUE(options.stride.size() == size && options.padding.size() == size &&
                        options.dilation.size() == size && spatial.size() == size,
                    op, ": stride, padding, dilation and input size must have ", axes,
                    " numbers, got ", options.stride.size(), ", ", options.padding.size(), ", ",
                    options.dilation.size(), " and ", spatial.size());
  constexpr WindowNumbers kNoPooling{1, 1, 1, 1, 0, 1};
  std::array<WindowNumbers, 3> windows{kNoPooling, kNoPooling, kNoPooling};
  int64_t taps = 1;
  for (int64_t axis = 0; axis < axes; ++axis) {
    windows[3 - axes + axis] = check_window(op, options, axis, spatial[axis]);
    taps *= options.kernel_size[axis];
  }
  TORCH_CHECK_VALUE(taps <= kMostTaps, op, ": a window may have at most ", kMostTaps,
                    " cells, got kernel_size=", options.kernel_size);
  return {windows[0], windows[1], windows[2]};
}

// The number of windows along each of the pooled axes.
inline std::vector<int64_t> windows_of(const PoolingNumbers& pooling, int64_t axes) {
  const std::array<int64_t, 3> windows{pooling.d.output, pooling.h.output, pooling.w.output};
  return {windows.end() - axes, windows.end()};
}

// The sizes of x, with other sizes of its last dimensions.
inline std::vector<int64_t> resized(const at::Tensor& x, at::IntArrayRef spatial) {
  auto sizes = x.sizes().vec();
  std::copy(spatial.begin(), spatial.end(), sizes.end() - spatial.size());
  return sizes;
}

// The memory format of the output of nn.MaxPool*d.
inline at::MemoryFormat pooling_format(const at::Tensor& x, int64_t axes) {
  if (axes == 2 && x.dim() == 4) return x.suggest_memory_format();
  if (axes == 3 && x.dim() == 5) return x.suggest_memory_format();
  return at::MemoryFormat::Contiguous;
}

// [channels, spatial ...] or [batch, channels, spatial ...].
inline void check_pooled(const std::string& op, const at::Tensor& x, int64_t axes) {
  TORCH_CHECK_TYPE(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble ||
                       x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf,
                   op, ": input must be float32, float64, bfloat16 or float16, got ",
                   x.scalar_type());
  TORCH_CHECK_VALUE(x.dim() == axes + 1 || x.dim() == axes + 2, op, ": input must be ", axes + 1,
                    "-D or ", axes + 2, "-D, got ", x.dim(), "-D of size ", x.sizes());
}

inline at::ScalarType offsets_dtype(const PoolingNumbers& pooling) {
  return Pooling(pooling).taps() <= kMostNarrowTaps ? at::kByte : at::kShort;
}

// Checks y and offsets of a pooling of an input of these sizes.
inline void check_unpooled(const std::string& op, const at::Tensor& y, const at::Tensor& offsets,
                           const PoolingNumbers& pooling, int64_t axes, int64_t overlap) {
  check_pooled(op, y, axes);
  TORCH_CHECK_VALUE(offsets.scalar_type() == offsets_dtype(pooling), op,
                    ": switches of windows of ", Pooling(pooling).taps(), " cells must be ",
                    offsets_dtype(pooling), ", got ", offsets.scalar_type());
  TORCH_CHECK_VALUE(offsets.device() == y.device(), op,
                    ": switches must be on the input's device, got input=", y.device(),
                    ", switches=", offsets.device());
  TORCH_CHECK_VALUE(offsets.sizes() == y.sizes(), op,
                    ": switches must have the input's size, got input=", y.sizes(),
                    ", switches=", offsets.sizes());
  const std::vector<int64_t> windows = windows_of(pooling, axes);
  TORCH_CHECK_VALUE(y.sizes().slice(y.dim() - axes) == at::IntArrayRef(windows), op,
                    ": this pooling gives an output of ", at::IntArrayRef(windows),
                    ", got an input of ", y.sizes());
  TORCH_CHECK_VALUE(0 <= overlap && overlap <= static_cast<int64_t>(Overlap::kMax), op,
                    ": overlap must be 0 (last), 1 (sum) or 2 (max), got ", overlap);
}

// `window`: its position in a plane.
[[noreturn]] inline void raise_for_switch(const std::string& op, const Pooling& pooling,
                                          int64_t offset, int64_t window) {
  TORCH_CHECK_VALUE(false, op, ": a switch must stand for a cell of the input, got ", offset,
                    " in window ", window, " of a plane, where windows have ", pooling.taps(),
                    " cells");
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
