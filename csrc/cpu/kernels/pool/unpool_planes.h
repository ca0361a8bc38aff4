#pragma once

#include "cpu/kernels/common/row_walk.h"
#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/pool/gather_cells.h"
#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/unpool_plan.h"
#include "pool/unpooled_cells.h"
#include "pool/window.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The loop over contiguous planes.
template <class Format, class Offset, template <class, class> class Cells>
class UnpoolPlanes {
 public:
  using Bits = typename Format::Bits;

  explicit UnpoolPlanes(const MaxUnpoolShare& share)
      : share_(share),
        pooling_(share.pooling),
        plan_(pooling_, sizeof(Bits)),
        y_(static_cast<const Bits*>(share.y)),
        offsets_(static_cast<const Offset*>(share.offsets)),
        x_(static_cast<Bits*>(share.x)),
        covers_(part_of<Cover>(share.scratch, plan_.covers)),
        h_taps_(part_of<ShiftedTaps>(share.scratch, plan_.h_taps)),
        h_begins_(part_of<int64_t>(share.scratch, plan_.h_begins)),
        w_taps_(part_of<ShiftedTaps>(share.scratch, plan_.w_taps)),
        w_begins_(part_of<int64_t>(share.scratch, plan_.w_begins)),
        clipped_(part_of<Bits>(share.scratch, plan_.clipped)),
        band_y_(part_of<Bits>(share.scratch, plan_.band_y)),
        band_switches_(part_of<Bits>(share.scratch, plan_.band_switches)) {}

  void run() {
    plan_.h.find_taps(pooling_.h, plan_.h.stride, h_taps_, h_begins_);
    plan_.w.find_taps(pooling_.w, plan_.groups, w_taps_, w_begins_);
    fill(band_switches_, plan_.depths * plan_.band_rows * plan_.width, kNowhere);
    choose_lanes<kFullLanes<typename Cells<Format, Single>::Element>>();
  }

 private:
  static constexpr Bits kNowhere = static_cast<Bits>(-1);

  // The switch of a window without a cell; no other one has its first bit set.
  template <class Switches>
  static Switches nowhere_if_negative(Switches switches) {
    return switches | -(switches >> (8 * sizeof(Bits) - 1));
  }

  static void fill(Bits* to, int64_t n, Bits value) {
    for (int64_t i = 0; i < n; ++i) to[i] = value;
  }

  template <int kLanes>
  void choose_lanes() {
    if constexpr (kLanes > 1) {
      if (plan_.w.steps <= kLanes / 2) return choose_lanes<kLanes / 2>();
    }
    if (plan_.w.stride == 1) {
      unpool_rows<kLanes, 1>();
    } else if (plan_.w.stride == 2) {
      unpool_rows<kLanes, 2>();
    } else if (plan_.w.stride == 3) {
      unpool_rows<kLanes, 3>();
    } else {
      unpool_rows<kLanes, 0>();
    }
  }

  template <int kLanes, int kStride>
  void unpool_rows() {
    const Phases& h = plan_.h;
    int64_t covers_d = -1;
    Range depths{0, 0};
    RowWalk walk(pooling_.d.input, pooling_.h.input, share_.begin);
    int64_t step = walk.h / h.stride;
    int64_t phase = walk.h % h.stride;
    Range band{step, step};
    while (walk.row < share_.end) {
      if (walk.d != covers_d) {
        covers_d = walk.d;
        depths = pooling_.d.windows_near(walk.d);
        find_covers(walk.d, depths);
      }
      if (step == band.end) {
        const int64_t rows_left = share_.end - (walk.row - walk.h);
        const int64_t last = rows_left < pooling_.h.input ? rows_left : pooling_.h.input;
        band = {step, clamp(step + plan_.band_steps, step, (last - 1) / h.stride + 1)};
        copy_band(walk.plane, depths, band);
      }
      unpool_row<kLanes, kStride>(x_ + walk.row * pooling_.w.input, phase,
                                  (step - band.begin + h.behind) * plan_.width + plan_.margin);
      walk.next();
      if (++phase == h.stride) {
        phase = 0;
        ++step;
      }
      if (walk.h == 0) {
        phase = step = 0;
        band = {0, 0};
      }
    }
  }

  // Copies the windows that a band of h's steps may see, of each depth. Those outside are empty.
  void copy_band(int64_t plane, Range depths, Range band) {
    for (int64_t o_d = depths.begin; o_d < depths.end; ++o_d) {
      int64_t to = (o_d - depths.begin) * plan_.band_rows * plan_.width + plan_.margin;
      for (int64_t o_h = band.begin - plan_.h.behind; o_h < band.end + plan_.h.ahead; ++o_h) {
        if (0 <= o_h && o_h < pooling_.h.output) {
          copy_row(plane * pooling_.outputs() + pooling_.window(o_d, o_h, 0), to);
        } else {
          fill(band_switches_ + to, pooling_.w.output, kNowhere);
        }
        to += plan_.width;
      }
    }
  }

  void copy_row(int64_t from, int64_t to) {
    for_each_vector<kFullLanes<Bits>>(pooling_.w.output, [&]<int kLanes>(int64_t o) {
      store(load<kLanes>(y_ + from + o), band_y_ + to + o);
      store(nowhere_if_negative(load_switches<Bits, kLanes>(offsets_ + from + o)),
            band_switches_ + to + o);
    });
  }

  // For every phase of rows and group of columns: the windows that see its cells, in row-major
  // order, as positions in the band from where a window without shift would be.
  void find_covers(int64_t i_d, Range depths) {
    depth_covers_ = 0;
    pooling_.d.for_each_cover(i_d, depths, [&](int64_t, int64_t) { ++depth_covers_; });
    for (int64_t phase_h = 0; phase_h < plan_.h.stride; ++phase_h) {
      for (int64_t group = 0; group < plan_.groups; ++group) {
        Cover* cover = covers_ + covers_of(phase_h, group).begin;
        pooling_.d.for_each_cover(i_d, depths, [&](int64_t o_d, int64_t tap_d) {
          const int64_t depth = (o_d - depths.begin) * plan_.band_rows;
          for (int64_t h = h_begins_[phase_h]; h < h_begins_[phase_h + 1]; ++h) {
            const int64_t row_switch = pooling_.row_switch(tap_d, h_taps_[h].taps[0]);
            for (int64_t w = w_begins_[group]; w < w_begins_[group + 1]; ++w) {
              cover->window = (depth - h_taps_[h].shift) * plan_.width - w_taps_[w].shift;
              for (int i = 0; i < kMostPhases; ++i) {
                const int64_t tap = w_taps_[w].taps[i];
                cover->switches[i] = tap < 0 ? Cover::kNoSwitch : row_switch + tap;
              }
              ++cover;
            }
          }
        });
      }
    }
  }

  Range covers_of(int64_t phase_h, int64_t group) const {
    const int64_t rows = h_begins_[phase_h + 1] - h_begins_[phase_h];
    const int64_t before = h_begins_[phase_h] * w_begins_[plan_.groups];
    return {depth_covers_ * (before + rows * w_begins_[group]),
            depth_covers_ * (before + rows * w_begins_[group + 1])};
  }

  // `at`: where in the band the window of the row's first step would be.
  template <int kLanes, int kStride>
  void unpool_row(Bits* x, int64_t phase_h, int64_t at) {
    const int64_t stride = kStride > 0 ? kStride : plan_.w.stride;
    const int64_t steps = plan_.w.steps;
    const Bits* const y = band_y_ + at;
    const Bits* const switches = band_switches_ + at;
    const Cover* const covers = covers_;
    Bits* const clipped = clipped_;
    const Range seen = covers_of(phase_h, 0);
    // Later rows overwrite what is written beyond the end of a row.
    Bits* const share_end = x_ + share_.end * pooling_.w.input;
    const auto unpool_steps = [&]<int kVectors>(int64_t step) {
      constexpr int kPhases = kStride > 0 ? kStride : 1;
      const auto unpool_group = [&](Range seen) {
        return gather<Cells<Format, Lanes<kLanes>>, kLanes, kPhases, kVectors>(
            y + step, switches + step, covers + seen.begin, seen.size());
      };
      Bits* const cells = x + step * stride;
      const bool is_clipped = share_end - cells < kVectors * kLanes * stride;
      Bits* const to = is_clipped ? clipped : cells;
      if constexpr (kStride > 0) {
        const auto bits = unpool_group(seen);
        for (int v = 0; v < kVectors; ++v) {
          Bits* const part = to + v * kLanes * kStride;
          if constexpr (kStride == 1) store(bits.of[0][v], part);
          if constexpr (kStride == 2)
            store_interleaved<Bits, kLanes>(bits.of[0][v], bits.of[1][v], part);
          if constexpr (kStride == 3)
            store_interleaved<Bits, kLanes>(bits.of[0][v], bits.of[1][v], bits.of[2][v], part);
        }
      } else {
        for (int64_t phase = 0; phase < stride; ++phase) {
          const auto bits = unpool_group(covers_of(phase_h, phase));
          for (int v = 0; v < kVectors; ++v) {
            for (int lane = 0; lane < kLanes; ++lane) {
              to[(v * kLanes + lane) * stride + phase] = bits.of[0][v][lane];
            }
          }
        }
      }
      if (is_clipped) memcpy(cells, clipped, (share_end - cells) * sizeof(Bits));
    };
    int64_t step = 0;
    for (; steps - step > kLanes; step += 2 * kLanes) {
      unpool_steps.template operator()<2>(step);
    }
    if (step < steps) unpool_steps.template operator()<1>(step);
  }

  const MaxUnpoolShare& share_;
  const Pooling pooling_;
  const UnpoolPlan plan_;
  const Bits* const y_;
  const Offset* const offsets_;
  Bits* const x_;
  Cover* const covers_;
  ShiftedTaps* const h_taps_;
  int64_t* const h_begins_;
  ShiftedTaps* const w_taps_;
  int64_t* const w_begins_;
  Bits* const clipped_;
  Bits* const band_y_;
  Bits* const band_switches_;
  int64_t depth_covers_ = 0;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
