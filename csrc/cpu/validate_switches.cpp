#include "cpu/validate_switches.h"

#include <ATen/Parallel.h>

#include <atomic>

#include "cpu/dispatch.h"
#include "cpu/grain.h"
#include "pool/tensors.h"

namespace relustat::cpu {
namespace {

// One of the wrong switches, if there are any.
[[noreturn]] void raise_for(const std::string& op, const SwitchesShare& row) {
  const Pooling pooling(row.pooling);
  const int64_t n = pooling.w.output * row.channels;
  const int64_t first = row.begin * n;
  for (int64_t i = first; i < first + n; ++i) {
    const int64_t offset = row.wide_offsets ? static_cast<const int16_t*>(row.offsets)[i]
                                            : static_cast<const uint8_t*>(row.offsets)[i];
    const int64_t window = i / row.channels % pooling.outputs();
    const int64_t o_d = window / (pooling.h.output * pooling.w.output);
    const int64_t o_h = window / pooling.w.output % pooling.h.output;
    const int64_t o_w = window % pooling.w.output;
    const bool is_tap = 0 <= offset && offset < pooling.taps();
    const TapPosition position = is_tap ? row.positions[offset] : TapPosition{};
    const bool is_inside = is_tap && pooling.d.taps_inside(o_d).contains(position.d) &&
                           pooling.h.taps_inside(o_h).contains(position.h) &&
                           pooling.w.taps_inside(o_w).contains(position.w);
    if (!is_inside) raise_for_switch(op, pooling, offset, window);
  }
  TORCH_CHECK(false, op, ": switches changed while they were checked");
}

}  // namespace

std::vector<TapPosition> tap_positions(const PoolingNumbers& pooling) {
  std::vector<TapPosition> positions(Pooling(pooling).taps());
  find_tap_positions(Pooling(pooling), positions.data());
  return positions;
}

void check_switches(const std::string& op, const at::Tensor& offsets, const PoolingNumbers& pooling,
                    int64_t channels, const std::vector<TapPosition>& positions) {
  SwitchesShare whole{};
  whole.offsets = offsets.const_data_ptr();
  whole.wide_offsets = has_wide_offsets(offsets);
  whole.pooling = pooling;
  whole.channels = channels;
  whole.positions = positions.data();
  const int64_t in_row = pooling.w.output * channels;
  const int64_t rows = offsets.numel() / in_row;
  const auto is_right = [&](int64_t begin, int64_t end) {
    SwitchesShare share = whole;
    share.begin = begin;
    share.end = end;
    return kernels().check_switches(share);
  };
  std::atomic<bool> all_right{true};
  at::parallel_for(0, rows, grain_of(in_row), [&](int64_t begin, int64_t end) {
    if (!is_right(begin, end)) all_right = false;
  });
  if (all_right) return;
  for (whole.begin = 0; whole.begin < rows; ++whole.begin) {
    if (!is_right(whole.begin, whole.begin + 1)) raise_for(op, whole);
  }
}

}  // namespace relustat::cpu
