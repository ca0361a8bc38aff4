#pragma once

#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/unpool_plan.h"
#include "pool/window.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Planes so small that a table has the cell of each switch of each window.
template <class Format, class Offset, template <class> class Put>
class UnpoolSmallPlanes {
 public:
  using Bits = typename Format::Bits;

  UnpoolSmallPlanes(const MaxUnpoolShare& share, const UnpoolPlan& plan)
      : share_(share),
        plan_(plan),
        pooling_(share.pooling),
        scratch_(static_cast<char*>(share.scratch)),
        cells_(reinterpret_cast<int16_t*>(scratch_ + plan.table)),
        taps_(static_cast<uint64_t>(pooling_.taps())) {}

  // Returns whether all switches are cells of the input. Others are left out.
  bool run() {
    find_cells();
    const int64_t inputs = pooling_.inputs();
    const int64_t outputs = pooling_.outputs();
    for (int64_t plane = share_.begin; plane < share_.end;) {
      const int64_t planes = clamp(plan_.group_planes, 1, share_.end - plane);
      Put<Format> put(static_cast<Bits*>(share_.x) + plane * inputs, scratch_ + plan_.values,
                      scratch_ + plan_.kept);
      put.clear(0, planes * inputs);
      const int64_t window = plane * outputs;
      const auto* const values =
          put.prepared(static_cast<const Bits*>(share_.y) + window, planes * outputs);
      const Offset* const switches = static_cast<const Offset*>(share_.offsets) + window;
      all_right_ &= put_planes(put, cells_, taps_, values, switches, planes, outputs, inputs);
      put.leave(planes * inputs, 0);
      plane += planes;
    }
    return all_right_;
  }

 private:
  static constexpr int16_t kOutside = -1;

  void find_cells() const {
    int16_t* cell = cells_;
    const Window& d = pooling_.d;
    const Window& h = pooling_.h;
    const Window& w = pooling_.w;
    const auto for_each_cell = [](const Window& window, int64_t o, const auto& visit) {
      for (int64_t tap = 0; tap < window.kernel; ++tap) {
        const int64_t i = window.cell(o, tap);
        visit(i, window.is_inside(i));
      }
    };
    for (int64_t o_d = 0; o_d < d.output; ++o_d) {
      for (int64_t o_h = 0; o_h < h.output; ++o_h) {
        for (int64_t o_w = 0; o_w < w.output; ++o_w) {
          for_each_cell(d, o_d, [&](int64_t i_d, bool is_inside_d) {
            for_each_cell(h, o_h, [&](int64_t i_h, bool is_inside_h) {
              const int64_t row = pooling_.cell(i_d, i_h, 0);
              for_each_cell(w, o_w, [&](int64_t i_w, bool is_inside_w) {
                const bool is_inside = is_inside_d && is_inside_h && is_inside_w;
                *cell++ = is_inside ? static_cast<int16_t>(row + i_w) : kOutside;
              });
            });
          });
        }
      }
    }
  }

  // Inlined, it would lack registers.
  template <class Value>
  [[gnu::noinline]] static bool put_planes(const Put<Format> put, const int16_t* table,
                                           uint64_t taps, const Value* values,
                                           const Offset* switches, int64_t planes, int64_t outputs,
                                           int64_t inputs) {
    bool all_right = true;
    int64_t first = 0;
    for (int64_t plane = 0; plane < planes; ++plane, first += inputs) {
      const int16_t* cells = table;
#pragma GCC unroll 4
      for (int64_t o = 0; o < outputs; ++o, cells += taps) {
        const auto tap = static_cast<uint64_t>(*switches++);
        const int64_t cell = tap < taps ? cells[tap] : kOutside;
        if (cell >= 0) [[likely]] {
          put.put(first + cell, values[o]);
        } else {
          all_right = false;
        }
      }
      values += outputs;
    }
    return all_right;
  }

  const MaxUnpoolShare& share_;
  const UnpoolPlan& plan_;
  const Pooling pooling_;
  char* const scratch_;
  int16_t* const cells_;
  const uint64_t taps_;
  bool all_right_ = true;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
