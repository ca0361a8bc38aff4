#include "switches.h"

#include <ATen/Parallel.h>

#include <atomic>

#include "../pooling_tensors.h"
#include "dispatch.h"
#include "grain.h"

namespace relustat::cpu {
namespace {

// Of many, some wrong one.
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
    const TapPlace place = is_tap ? row.places[offset] : TapPlace{};
    const bool is_inside = is_tap && pooling.d.taps_inside(o_d).contains(place.d) &&
                           pooling.h.taps_inside(o_h).contains(place.h) &&
                           pooling.w.taps_inside(o_w).contains(place.w);
    if (!is_inside) raise_for_switch(op, pooling, offset, window);
  }
  TORCH_CHECK(false, op, ": switches changed while they were checked");
}

}  // namespace

std::vector<TapPlace> tap_places(const PoolingNumbers& pooling) {
  std::vector<TapPlace> places(Pooling(pooling).taps());
  find_tap_places(Pooling(pooling), places.data());
  return places;
}

void check_switches(const std::string& op, const at::Tensor& offsets, const PoolingNumbers& pooling,
                    int64_t channels, const std::vector<TapPlace>& places) {
  SwitchesShare whole{};
  whole.offsets = offsets.const_data_ptr();
  whole.wide_offsets = has_wide_offsets(offsets);
  whole.pooling = pooling;
  whole.channels = channels;
  whole.places = places.data();
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
