#pragma once

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/pool/are_taps.h"
#include "cpu/kernels/pool/max_unpool.h"
#include "pool/window.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Windows side by side and two cells wide: a vector of windows gives the cells of its rows.
template <class Format, class Offset, template <class> class Put>
class UnpoolPairs {
 public:
  using Bits = typename Format::Bits;

  explicit UnpoolPairs(const MaxUnpoolShare& share) : share_(share), pooling_(share.pooling) {}

  // Returns whether all switches are taps. Others are left out.
  bool run() const {
    const Window& h = pooling_.h;
    const Window& w = pooling_.w;
    bool all_right = true;
    for (int64_t row = share_.begin; row < share_.end;) {
      const int64_t plane = row / h.input;
      const int64_t first = row - plane * h.input;
      const int64_t end = clamp(first + share_.end - row, 0, h.input);
      // A window is the share's if its first row is.
      const Range windows{ceil_divide(first, h.stride),
                          clamp(ceil_divide(end, h.stride), 0, h.output)};
      Bits* const cells = static_cast<Bits*>(share_.x) + plane * pooling_.inputs();
      all_right &= put(cells, plane * h.output, windows);
      const int64_t unseen = clamp(h.output * h.stride, first, end);
      memset(cells + unseen * w.input, 0, (end - unseen) * w.input * sizeof(Bits));
      row += end - first;
    }
    return all_right;
  }

 private:
  bool put(Bits* cells, int64_t first_row, Range windows) const {
    const int64_t n = pooling_.w.output;
    const auto* const y = static_cast<const Bits*>(share_.y) + first_row * n;
    const auto* const switches = static_cast<const Offset*>(share_.offsets) + first_row * n;
    const int64_t row_elements = pooling_.w.input;
    const int64_t rows = pooling_.h.kernel;
    for (int64_t o = windows.begin; o < windows.end; ++o) {
      Bits* const to = cells + o * rows * row_elements;
      if (rows == 2) {
        put_row<2>(to, row_elements, rows, y + o * n, switches + o * n, n);
      } else {
        put_row<0>(to, row_elements, rows, y + o * n, switches + o * n, n);
      }
    }
    return are_taps(switches + windows.begin * n, windows.size() * n, pooling_.taps());
  }

  // kRows: number of rows of a window, if it is known.
  template <int kRows>
  static void put_row(Bits* to, int64_t row_elements, int64_t rows, const Bits* y,
                      const Offset* switches, int64_t n) {
    const int64_t all_rows = kRows > 0 ? kRows : rows;
    for_each_vector<kFullLanes<typename Put<Format>::Element>>(n, [&]<int kLanes>(int64_t o) {
      const auto values = Put<Format>::template single<kLanes>(load<kLanes>(y + o));
      const auto here = widen<Bits, kLanes, Offset>(load<kLanes>(switches + o));
      const auto nothing = splat<Bits, kLanes>(0);
      for (int64_t row = 0; row < all_rows; ++row) {
        const auto tap = static_cast<Bits>(2 * row);
        const auto is_first = here == splat<Bits, kLanes>(tap);
        const auto is_second = here == splat<Bits, kLanes>(static_cast<Bits>(tap + 1));
        Vector<Bits, kLanes> cells[2];
        interleave<Bits, kLanes>(is_first ? values : nothing, is_second ? values : nothing,
                                 cells[0], cells[1]);
        store(cells[0], to + row * row_elements + 2 * o);
        store(cells[1], to + row * row_elements + 2 * o + kLanes);
      }
    });
    for (int64_t row = 0; row < all_rows; ++row) {
      for (int64_t i = 2 * n; i < row_elements; ++i) to[row * row_elements + i] = 0;
    }
  }

  const MaxUnpoolShare& share_;
  const Pooling pooling_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
