#pragma once

#include <ATen/ExpandUtils.h>
#include <ATen/core/Tensor.h>
#include <c10/core/WrapDimMinimal.h>

#include <optional>
#include <vector>

#include "relu/binning.h"
#include "relu/counters.h"
#include "relu/unit_layout.h"

// The checks of the arguments of counting_relu and its relatives, for every backend.
// relustat/ops/reference/checks.py has the same checks in the same words; a test compares them.

namespace relustat {
inline namespace RELUSTAT_ISA {

// A dimension of x; or x.dim(), if all of x is one unit.
inline int64_t unit_count(const char* op, const at::Tensor& x, int64_t unit_dim) {
  TORCH_CHECK_INDEX(-x.dim() <= unit_dim && unit_dim <= x.dim(), op, ": unit_dim must be in [",
                    -x.dim(), ", ", x.dim(), "] for a ", x.dim(), "-D input, got ", unit_dim);
  return unit_dim == x.dim() ? 1 : x.size(unit_dim);
}

// The sizes of x without its unit dimension.
inline std::vector<int64_t> sizes_of_positions(const at::Tensor& x, int64_t unit_dim) {
  std::vector<int64_t> sizes = x.sizes().vec();
  if (unit_dim != x.dim()) sizes.erase(sizes.begin() + c10::maybe_wrap_dim(unit_dim, x.dim()));
  return sizes;
}

inline void check_mask(const char* op, const at::Tensor& x, int64_t unit_dim,
                       const at::Tensor& mask) {
  TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool, op, ": mask must be bool, got ",
                    mask.scalar_type());
  TORCH_CHECK_VALUE(mask.device() == x.device(), op,
                    ": mask must be on the input's device, got input=", x.device(),
                    ", mask=", mask.device());
  const std::vector<int64_t> sizes = sizes_of_positions(x, unit_dim);
  TORCH_CHECK_VALUE(at::is_expandable_to(mask.sizes(), sizes), op,
                    ": mask must have the size of the input without its units, ",
                    at::IntArrayRef(sizes), ", or expand to it, got ", mask.sizes());
}

// saturates: whether the activation has an upper knee.
inline CounterLayout check_counting(const char* op, const at::Tensor& x, const at::Tensor& counters,
                                    const at::Tensor& edges, int64_t unit_dim, int64_t binning,
                                    const std::optional<at::Tensor>& mask,
                                    const std::optional<at::Tensor>& blocks,
                                    bool saturates = false) {
  TORCH_CHECK_TYPE(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble ||
                       x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf,
                   op, ": input must be float32, float64, bfloat16 or float16, got ",
                   x.scalar_type());
  TORCH_CHECK_VALUE(
      counters.scalar_type() == at::kLong && counters.dim() == 1 && counters.is_contiguous(), op,
      ": counters must be a contiguous 1-D int64 tensor, got ", counters.dim(), "-D ",
      counters.scalar_type());
  TORCH_CHECK_VALUE(edges.scalar_type() == at::kFloat && edges.dim() == 1 && edges.is_contiguous(),
                    op, ": edges must be a contiguous 1-D float32 tensor, got ", edges.dim(), "-D ",
                    edges.scalar_type());
  TORCH_CHECK_VALUE(counters.device() == x.device() && edges.device() == x.device(), op,
                    ": counters and edges must be on the input's device, got input=", x.device(),
                    ", counters=", counters.device(), ", edges=", edges.device());
  const auto kind = static_cast<Binning>(binning);
  const int64_t bins = edges.numel() == 0 ? 0 : edges.numel() - 1;
  TORCH_CHECK_VALUE(Binning::kNone <= kind && kind <= Binning::kLog, op,
                    ": binning must be 0 (none), 1 (search), 2 (linear) or 3 (log), "
                    "got ",
                    binning);
  TORCH_CHECK_VALUE((kind == Binning::kNone) == (bins == 0) && edges.numel() != 1, op,
                    ": edges must hold at least 2 values, or none without binning, "
                    "got ",
                    edges.numel(), " with binning=", binning);
  TORCH_CHECK_VALUE(bins <= kMaxBins, op, ": there can be at most ", kMaxBins, " bins, got ", bins);
  TORCH_CHECK_VALUE(kind != Binning::kLog || (bins >= 4 && bins % 2 == 0), op,
                    ": log bins must be even in number and at least 4, got ", bins);
  const int64_t units = unit_count(op, x, unit_dim);
  const int64_t slots = slot_count(bins);
  CounterLayout layout{units, 1, slots, saturates};
  TORCH_CHECK_VALUE(bins > 0 || counters.numel() == layout.size(), op, ": counters of ", units,
                    " units without bins must hold ", layout.size(), " words, got ",
                    counters.numel());
  if (counters.numel() != layout.size()) layout.rows = units;
  TORCH_CHECK_VALUE(counters.numel() == layout.size(), op, ": counters of ", units, " units and ",
                    bins, " bins must hold ", CounterLayout{units, 1, slots, saturates}.size(),
                    " words, or with a histogram per unit ", layout.size(), ", got ",
                    counters.numel());
  if (mask.has_value()) check_mask(op, x, unit_dim, *mask);
  if (blocks.has_value()) {
    TORCH_CHECK_VALUE(blocks->scalar_type() == at::kLong && blocks->dim() == 1 &&
                          blocks->numel() == 2 && blocks->is_contiguous() &&
                          blocks->device() == x.device(),
                      op, ": blocks must be int64 [2] on the input's device, got ",
                      blocks->scalar_type(), " ", blocks->sizes(), " on ", blocks->device());
  }
  return layout;
}

inline CounterLayout check_counting_relu(const at::Tensor& x, const at::Tensor& counters,
                                         const at::Tensor& edges, int64_t unit_dim, int64_t binning,
                                         const std::optional<at::Tensor>& mask,
                                         const std::optional<at::Tensor>& blocks) {
  return check_counting("counting_relu", x, counters, edges, unit_dim, binning, mask, blocks);
}

// x must be non-overlapping and dense.
inline UnitLayout dense_unit_layout(const at::Tensor& x, int64_t unit_dim) {
  UnitLayout layout{1, 1, 1};
  if (unit_dim == x.dim()) {
    layout.inner = x.numel();
    return layout;
  }
  unit_dim = c10::maybe_wrap_dim(unit_dim, x.dim());
  layout.units = x.size(unit_dim);
  for (int64_t dim = 0; dim < x.dim(); ++dim) {
    if (dim == unit_dim) continue;
    // A dimension of size 1 may have any stride, and lies on either side.
    const bool is_inner = x.stride(dim) < x.stride(unit_dim);
    (is_inner ? layout.inner : layout.outer) *= x.size(dim);
  }
  return layout;
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
