#include "cpu/flat_indices.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <atomic>
#include <vector>

#include "cpu/grain.h"
#include "cpu/kernels/common/row_walk.h"
#include "cpu/validate_switches.h"
#include "pool/tensors.h"

namespace relustat::cpu {
namespace {

// Rows [begin, end) of windows. Returns whether all switches are taps.
template <class Offset>
bool fill(const Offset* offsets, const PooledPlanes& pooled, const std::vector<int64_t>& steps,
          int64_t begin, int64_t end, int64_t* indices) {
  const Pooling pooling(pooled.numbers);
  const int64_t in_row = pooling.w.output * pooled.channels;
  bool all_right = true;
  for (RowWalk walk(pooling.d.output, pooling.h.output, begin); walk.row < end; walk.next()) {
    int64_t first =
        pooling.cell(pooling.d.start(walk.d), pooling.h.start(walk.h), pooling.w.start(0));
    for (int64_t i = walk.row * in_row; i < (walk.row + 1) * in_row; first += pooling.w.stride) {
      for (int64_t channel = 0; channel < pooled.channels; ++channel, ++i) {
        const auto tap = static_cast<size_t>(offsets[i]);
        const bool is_right = tap < steps.size();
        indices[i] = first + steps[is_right ? tap : 0];
        all_right &= is_right;
      }
    }
  }
  return all_right;
}

}  // namespace

at::Tensor flat_indices(const at::Tensor& offsets, const PoolingArguments& arguments,
                        at::IntArrayRef input_size) {
  const std::string op = "Switches.indices";
  const auto axes = static_cast<int64_t>(arguments.kernel_size.size());
  const PoolingNumbers numbers =
      check_pooling(op,
                    {arguments.kernel_size, arguments.stride, arguments.padding, arguments.dilation,
                     arguments.ceil_mode},
                    input_size);
  const std::vector<int64_t> windows = windows_of(numbers, axes);
  TORCH_CHECK_VALUE(offsets.scalar_type() == offsets_dtype(numbers) && offsets.dim() > axes &&
                        offsets.sizes().slice(offsets.dim() - axes) == at::IntArrayRef(windows),
                    op, ": this pooling gives switches of ", offsets_dtype(numbers), " and ",
                    at::IntArrayRef(windows), ", got ", offsets.scalar_type(), " of ",
                    offsets.sizes());
  const PooledPlanes pooled(numbers, offsets, axes);
  const at::Tensor dense = offsets.contiguous(pooled.format);
  const at::Tensor indices = pooled.empty(offsets.sizes(), offsets.options().dtype(at::kLong));
  if (offsets.numel() == 0) return indices;

  const Pooling pooling(numbers);
  std::vector<int64_t> steps;
  for (const TapPosition& at : tap_positions(numbers)) {
    steps.push_back(step_of(pooling, at));
  }
  const int64_t in_row = pooling.w.output * pooled.channels;
  auto* const to = indices.mutable_data_ptr<int64_t>();
  std::atomic<bool> all_right{true};
  at::parallel_for(0, offsets.numel() / in_row, grain_of(in_row), [&](int64_t begin, int64_t end) {
    const bool are_right =
        has_wide_offsets(dense)
            ? fill(dense.const_data_ptr<int16_t>(), pooled, steps, begin, end, to)
            : fill(dense.const_data_ptr<uint8_t>(), pooled, steps, begin, end, to);
    if (!are_right) all_right = false;
  });
  TORCH_CHECK_INDEX(all_right, op, ": a switch must be below the number of cells in a window, ",
                    steps.size(), ", got another one");
  return indices;
}

}  // namespace relustat::cpu
