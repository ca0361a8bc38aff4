#pragma once

#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/unpool_plan.h"
#include "pool/window.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Planes of any size, and pixels of channels: a row of windows after the other. A share begins and
// ends with any slice: windows beside it see other cells, too, which are left to other shares.
template <class Format, class Offset, template <class> class Put>
class UnpoolSlices {
 public:
  using Bits = typename Format::Bits;

  UnpoolSlices(const MaxUnpoolShare& share, const UnpoolPlan& plan)
      : share_(share),
        plan_(plan),
        pooling_(share.pooling),
        y_(static_cast<const Bits*>(share.y)),
        offsets_(static_cast<const Offset*>(share.offsets)),
        whole_w_(pooling_.w.whole_windows()),
        taps_(pooling_.taps()),
        steps_(reinterpret_cast<int64_t*>(static_cast<char*>(share.scratch) + plan.table)),
        window_steps_(steps_ + UnpoolPlan::table_size(pooling_)) {}

  // Returns whether all switches that were seen are cells of the input. Others are left out.
  bool run() {
    for (int64_t i = 0; i < UnpoolPlan::table_size(pooling_); ++i) {
      steps_[i] = window_steps_[i] = kWrong;
    }
    for (int64_t tap = 0; tap < taps_; ++tap) {
      steps_[tap] = step_of(pooling_, share_.positions[tap]) * share_.channels;
    }
    for (int64_t slice = share_.begin; slice < share_.end;) {
      const int64_t first = slice % plan_.slices;
      const Range slices{first, first + clamp(share_.end - slice, 1, plan_.slices - first)};
      unpool(slice / plan_.slices, slices);
      slice += slices.size();
    }
    return all_right_;
  }

 private:
  // Steps of switches that lead out of the plane, or only out of the share.
  static constexpr int64_t kWrong = -1;
  static constexpr int64_t kNotMine = -2;
  // Bytes that are cleared together: few enough to be in the L1 cache when values are put there.
  static constexpr int64_t kClearedBytes = 8192;

  // A row of windows, in the coordinates of the cells that are being unpooled.
  struct WindowRow {
    int64_t d;
    int64_t h;
    int64_t cell;  // of the first tap, if window 0 began at column 0
    Range taps_d;  // those whose cells are the share's
    Range taps_h;
    bool is_inside;  // whether all are
  };

  void unpool(int64_t plane, Range slices) {
    const Window& d = pooling_.d;
    const Window& h = pooling_.h;
    const bool has_depth = d.input > 1;
    mine_d_ = has_depth ? slices : Range{0, 1};
    mine_h_ = has_depth ? Range{0, h.input} : slices;
    const int64_t first_row = mine_d_.begin * h.input + mine_h_.begin;
    const int64_t rows = slices.size() * plan_.slice_rows;
    const int64_t first_slice = plane * plan_.slices + slices.begin;
    char* const scratch = static_cast<char*>(share_.scratch);
    Put<Format> put(
        static_cast<Bits*>(share_.x) + first_slice * plan_.slice_rows * plan_.row_elements,
        scratch + plan_.values, scratch + plan_.kept);
    // Rows are counted from first_row. Before `left` all is done, before `cleared` it is begun.
    int64_t left = 0;
    int64_t cleared = 0;
    const int64_t at_once = kClearedBytes / (plan_.row_elements * sizeof(Bits)) + 1;
    const int64_t kept_rows = plan_.kept_rows > 0 ? plan_.kept_rows : rows;
    const auto clear_to = [&](int64_t row) {
      if (row <= cleared) return;
      const int64_t end = clamp(cleared + at_once, row, clamp(left + kept_rows, 0, rows));
      put.clear((cleared - left) * plan_.row_elements, (end - left) * plan_.row_elements);
      cleared = end;
    };
    const auto clear_and_leave_to = [&](int64_t row) {
      while (left < row) {
        clear_to(clamp(left + kept_rows, 0, row));
        const int64_t end = clamp(cleared, 0, row);
        put.leave((end - left) * plan_.row_elements, (cleared - end) * plan_.row_elements);
        left = end;
      }
    };
    const int64_t row_values = pooling_.w.output * share_.channels;
    const Range near_d{d.windows_near(mine_d_.begin).begin, d.windows_near(mine_d_.end - 1).end};
    const Range near_h{h.windows_near(mine_h_.begin).begin, h.windows_near(mine_h_.end - 1).end};
    for (int64_t o_d = near_d.begin; o_d < near_d.end; ++o_d) {
      const Range taps_d = d.taps_within(o_d, mine_d_);
      if (taps_d.size() == 0) continue;
      // Rows of windows whose values are prepared.
      Range prepared{near_h.begin, near_h.begin};
      decltype(put.prepared(y_, 0)) values = nullptr;
      for (int64_t o_h = near_h.begin; o_h < near_h.end; ++o_h) {
        const Range taps_h = h.taps_within(o_h, mine_h_);
        if (taps_h.size() == 0) continue;
        const int64_t end =
            d.cell(o_d, taps_d.end - 1) * h.input + h.cell(o_h, taps_h.end - 1) + 1 - first_row;
        if (end - left > kept_rows) {
          // Later windows see no row before this one.
          const int64_t first =
              has_depth ? d.cell(o_d, taps_d.begin) * h.input : h.cell(o_h, taps_h.begin);
          clear_and_leave_to(first - first_row);
        }
        const bool is_inside = taps_d.size() == d.kernel && taps_h.size() == h.kernel;
        clear_to(end);
        const int64_t row = d.start(o_d) * h.input + h.start(o_h) - first_row - left;
        const WindowRow windows{o_d, o_h, row * plan_.row_elements, taps_d, taps_h, is_inside};
        const int64_t first_value =
            (plane * pooling_.outputs() + pooling_.window(o_d, o_h, 0)) * share_.channels;
        if (o_h >= prepared.end) {
          prepared = {o_h, clamp(o_h + plan_.prepared_rows, 0, near_h.end)};
          values = put.prepared(y_ + first_value, prepared.size() * row_values);
        }
        put_row(put, windows, values + (o_h - prepared.begin) * row_values, offsets_ + first_value);
      }
    }
    clear_and_leave_to(rows);
  }

  template <class Value>
  void put_row(const Put<Format>& put, const WindowRow& row, const Value* values,
               const Offset* switches) {
    const Window& w = pooling_.w;
    const int64_t channels = share_.channels;
    for (int64_t o = 0; o < whole_w_.begin; ++o) put_partial(put, row, o, values, switches);
    if (!row.is_inside) find_window_steps(row, whole_w_.begin);
    const int64_t* const steps = row.is_inside ? steps_ : window_steps_;
    const int64_t cell = row.cell + w.start(whole_w_.begin) * channels;
    const int64_t i = whole_w_.begin * channels;
    if (channels == 1) {
      put_all(put, steps, cell, w.stride, values + i, switches + i, whole_w_.size());
    } else {
      for (int64_t o = 0; o < whole_w_.size(); ++o) {
        const int64_t at = i + o * channels;
        put_all(put, steps, cell + o * w.stride * channels, 1, values + at, switches + at,
                channels);
      }
    }
    for (int64_t o = whole_w_.end; o < w.output; ++o) put_partial(put, row, o, values, switches);
  }

  // Window o of a row, of which some cells lie outside the plane.
  template <class Value>
  void put_partial(const Put<Format>& put, const WindowRow& row, int64_t o, const Value* values,
                   const Offset* switches) {
    const int64_t channels = share_.channels;
    const int64_t cell = row.cell + pooling_.w.start(o) * channels;
    if (channels > 1) {
      find_window_steps(row, o);
      put_all(put, window_steps_, cell, 1, values + o * channels, switches + o * channels,
              channels);
      return;
    }
    const auto tap = static_cast<uint64_t>(switches[o]);
    const int64_t to = tap < static_cast<uint64_t>(taps_) ? window_step_of(row, o, tap) : kWrong;
    if (to >= 0) {
      put.put(cell + to, values[o]);
    } else {
      all_right_ &= to != kWrong;
    }
  }

  // The steps of the switches of window o.
  void find_window_steps(const WindowRow& row, int64_t o) const {
    for (int64_t tap = 0; tap < taps_; ++tap) window_steps_[tap] = window_step_of(row, o, tap);
  }

  int64_t window_step_of(const WindowRow& row, int64_t o, int64_t tap) const {
    const TapPosition at = share_.positions[tap];
    if (!pooling_.w.is_inside(pooling_.w.cell(o, at.w))) return kWrong;
    if (row.taps_d.contains(at.d) && row.taps_h.contains(at.h)) return steps_[tap];
    const bool is_in_plane = pooling_.d.is_inside(pooling_.d.cell(row.d, at.d)) &&
                             pooling_.h.is_inside(pooling_.h.cell(row.h, at.h));
    return is_in_plane ? kNotMine : kWrong;
  }

  template <class Value>
  void put_all(const Put<Format>& put, const int64_t* steps, int64_t cell, int64_t step,
               const Value* values, const Offset* switches, int64_t n) {
    const auto end = sizeof(Offset) == 1 ? UINT64_MAX : static_cast<uint64_t>(taps_);
    all_right_ &= put_values(put, steps, end, cell, step, values, switches, n);
  }

  // Element i has its first tap in `cell + i * step`. Inlined, it would lack registers.
  template <class Value>
  [[gnu::noinline]] static bool put_values(const Put<Format> put, const int64_t* steps,
                                           uint64_t steps_end, int64_t cell, int64_t step,
                                           const Value* values, const Offset* switches, int64_t n) {
    bool all_right = true;
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; ++i, cell += step) {
      const auto tap = static_cast<uint64_t>(switches[i]);
      const int64_t to = sizeof(Offset) == 1 || tap < steps_end ? steps[tap] : kWrong;
      if (to >= 0) [[likely]] {
        put.put(cell + to, values[i]);
      } else {
        all_right &= to != kWrong;
      }
    }
    return all_right;
  }

  const MaxUnpoolShare& share_;
  const UnpoolPlan& plan_;
  const Pooling pooling_;
  const Bits* const y_;
  const Offset* const offsets_;
  const Range whole_w_;
  const int64_t taps_;
  int64_t* const steps_;         // of the switches of whole windows
  int64_t* const window_steps_;  // of those of one other window
  Range mine_d_{0, 0};
  Range mine_h_{0, 0};
  bool all_right_ = true;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
