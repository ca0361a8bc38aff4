#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "cpu/kernels/pool/check_switches_body.h"
#include "cuda/pool/tap.h"
#include "input.h"
#include "pool/unpool_winner.h"
#include "pool/unpooled_cells.h"
#include "poolings.h"

// Poolings over up to three axes: which cell a switch is, and which value stays in a cell.

namespace {

using namespace relustat;
using fuzz::cell_of;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::Input;
using Cell = std::array<int64_t, 3>;

bool is_inside(const PoolingNumbers& pooling, const Cell& cell) {
  const int64_t sizes[] = {pooling.d.input, pooling.h.input, pooling.w.input};
  for (int axis = 0; axis < 3; ++axis) {
    if (cell[axis] < 0 || cell[axis] >= sizes[axis]) return false;
  }
  return true;
}

// Switches of one image of [d, h, w, channels], some of them wrong.
template <class Offset>
struct Switches {
  PoolingNumbers pooling;
  int64_t channels;
  std::vector<Offset> offsets;

  int64_t taps() const { return pooling.d.kernel * pooling.h.kernel * pooling.w.kernel; }
  int64_t windows() const { return pooling.d.output * pooling.h.output * pooling.w.output; }
  int64_t size() const { return windows() * channels; }

  // The cell that a switch means, wherever it is.
  Cell cell(int64_t i) const {
    const int64_t window = i / channels, offset = offsets[i];
    const auto& [d, h, w] = pooling;
    return {cell_of(d, window / (h.output * w.output), offset / (h.kernel * w.kernel)),
            cell_of(h, window / w.output % h.output, offset / w.kernel % h.kernel),
            cell_of(w, window % w.output, offset % w.kernel)};
  }
  bool is_right(int64_t i) const {
    return 0 <= offsets[i] && offsets[i] < taps() && is_inside(pooling, cell(i));
  }
};

template <class Offset>
Switches<Offset> read_switches(Input& input, const PoolingNumbers& pooling) {
  Switches<Offset> switches{pooling, input.number(1, 3), {}};
  const bool any = input.rarely();
  for (int64_t i = 0; i < switches.size(); ++i) {
    switches.offsets.push_back(any ? input.raw<Offset>()
                                   : static_cast<Offset>(input.number(0, switches.taps() - 1)));
    // The next one that is a cell.
    for (int64_t n = 0; n < switches.taps() && !any && !switches.is_right(i); ++n) {
      switches.offsets[i] = static_cast<Offset>((switches.offsets[i] + 1) % switches.taps());
    }
  }
  if (!any && input.flag()) {
    const int64_t wrong = input.number(0, switches.size() - 1);
    switches.offsets[wrong] = static_cast<Offset>(input.number(0, switches.taps() + 1));
  }
  return switches;
}

template <class Offset, class Index>
void check_taps(const Switches<Offset>& switches) {
  const BasicPooling<Index> pooling(switches.pooling);
  const cuda::TapDividers<Index> dividers(switches.pooling, switches.channels);
  for (int64_t i = 0; i < switches.size(); ++i) {
    const cuda::Tap<Index> tap(i, switches.offsets[i], pooling, dividers);
    expect("Tap's is_cell", tap.is_cell == switches.is_right(i), i);
    if (!tap.is_cell) continue;
    const Cell cell = switches.cell(i);
    expect("Tap's cell", Cell{tap.cell.d, tap.cell.h, tap.cell.w} == cell, i);
    expect_equal("Tap's channel", i % switches.channels, tap.cell.channel, i);
    expect_equal("Tap's plane", 0, tap.cell.plane, i);
  }
}

template <class Offset>
void check_validation(const Switches<Offset>& switches) {
  const Pooling pooling(switches.pooling);
  std::vector<cpu::TapPosition> positions(switches.taps());
  cpu::find_tap_positions(pooling, positions.data());
  const int64_t in_row = switches.pooling.w.output * switches.channels;
  for (int64_t row = 0; row < switches.size() / in_row; ++row) {
    bool expected = true;
    for (int64_t i = row * in_row; i < (row + 1) * in_row; ++i) expected &= switches.is_right(i);
    cpu::SwitchesShare share{};
    share.offsets = switches.offsets.data();
    share.wide_offsets = sizeof(Offset) == 2;
    share.pooling = switches.pooling;
    share.channels = switches.channels;
    share.positions = positions.data();
    share.begin = row;
    share.end = row + 1;
    expect("check_switches", cpu::check_switches_share(share) == expected, row);
  }
}

// All switches that mean a cell of a channel, in row-major order of their windows.
template <class Offset>
std::map<std::pair<Cell, int64_t>, std::vector<int64_t>> by_cell(const Switches<Offset>& switches) {
  std::map<std::pair<Cell, int64_t>, std::vector<int64_t>> found;
  for (int64_t i = 0; i < switches.size(); ++i) {
    if (switches.is_right(i)) found[{switches.cell(i), i % switches.channels}].push_back(i);
  }
  return found;
}

// The first of the largest, or the last NaN.
int64_t largest_of(const std::vector<int64_t>& candidates, const std::vector<float>& values) {
  int64_t best = candidates[0];
  for (const int64_t i : candidates) {
    if (values[i] != values[i] || values[i] > values[best]) best = i;
  }
  return best;
}

template <class Format>
std::vector<float> values_of(const std::vector<typename Format::Bits>& bits) {
  std::vector<float> values;
  for (const auto each : bits) values.push_back(Format::value(each));
  return values;
}

template <class Format, class Cells>
typename Format::Bits unpooled(const std::vector<int64_t>& candidates,
                               const std::vector<typename Format::Bits>& y) {
  Cells cells;
  for (const int64_t i : candidates) {
    cells.offer(true, y[i]);
    cells.offer(false, y[y.size() - 1 - i]);
  }
  return cells.bits();
}

// Bits that may be those of another NaN are not compared.
template <class Format>
void expect_bits(const char* what, typename Format::Bits expected, typename Format::Bits got) {
  if (is_nan<Format>(expected) && is_nan<Format>(got)) return;
  expect_equal(what, expected, got);
}

template <class Format, class Offset, class Index>
void check_winners(Input& input, const Switches<Offset>& switches) {
  using Bits = typename Format::Bits;
  std::vector<Bits> y(switches.size());
  for (Bits& each : y) each = input.raw<Bits>();
  const std::vector<float> values = values_of<Format>(y);
  const BasicPooling<Index> pooling(switches.pooling);
  const auto winner = [&](Overlap overlap) {
    return UnpoolWinner<Format, Offset, Index>{pooling, y.data(), switches.offsets.data(),
                                               static_cast<Index>(switches.channels), overlap};
  };
  for (const auto& [where, candidates] : by_cell(switches)) {
    const auto& [cell, channel] = where;
    const PlaneCell<Index> at{0, static_cast<Index>(cell[0]), static_cast<Index>(cell[1]),
                              static_cast<Index>(cell[2]), static_cast<Index>(channel)};
    const int64_t largest = largest_of(candidates, values);
    expect_equal("the last winner", candidates.back(), winner(Overlap::kLast).of(at));
    expect_equal("the largest winner", largest, winner(Overlap::kMax).of(at));
    float sum = 0;
    for (const int64_t i : candidates) sum += values[i];
    expect_bits<Format>("LastCells", y[candidates.back()],
                        unpooled<Format, LastCells<Format, Single>>(candidates, y));
    expect_bits<Format>("MaxCells", y[largest],
                        unpooled<Format, MaxCells<Format, Single>>(candidates, y));
    if constexpr (kIsNative<Format>) {
      expect_bits<Format>("SumCells", bit_cast<Bits>(sum),
                          unpooled<Format, SumCells<Format, Single>>(candidates, y));
    }
  }
}

template <class Offset>
void check(Input& input, const PoolingNumbers& pooling) {
  const Switches<Offset> switches = read_switches<Offset>(input, pooling);
  check_taps<Offset, int32_t>(switches);
  check_taps<Offset, int64_t>(switches);
  check_validation(switches);
  switch (input.number(0, 2)) {
    case 0:
      return check_winners<Float32, Offset, int64_t>(input, switches);
    case 1:
      return check_winners<BFloat16, Offset, int32_t>(input, switches);
    default:
      return check_winners<Float16, Offset, int64_t>(input, switches);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const bool is_narrow = input.flag();
  PoolingNumbers pooling{};
  if (!fuzz::read_pooling(input, pooling)) return 0;
  is_narrow ? check<uint8_t>(input, pooling) : check<int16_t>(input, pooling);
  return 0;
}
