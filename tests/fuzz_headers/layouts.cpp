#include <vector>

#include "cpu/kernels/relu/tiling.h"
#include "input.h"
#include "relu/counters.h"
#include "relu/mask.h"

// Where things are: the positions of elements and of their mask, and the parts of counters and of
// strips.

namespace {

using namespace relustat;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::Input;

UnitLayout read_layout(Input& input, int64_t most) {
  return {input.size(1, most), input.size(1, most), input.size(1, most)};
}

void check_mask_walk(Input& input) {
  const UnitLayout layout = read_layout(input, 40);
  const std::vector<uint8_t> mask(layout.outer * layout.inner);
  int64_t element = input.number(0, layout.elements() - 1);
  MaskWalk walk(mask.data(), layout, element);
  while (element < layout.elements()) {
    const int64_t row = element / layout.inner;
    const int64_t position = row / layout.units * layout.inner + element % layout.inner;
    expect_equal("the element's byte", position, walk.now() - mask.data(), element);
    const int64_t run = walk.run();
    const int64_t left = layout.inner == 1 ? layout.units - row % layout.units
                                           : layout.inner - element % layout.inner;
    expect_equal("run", left, run, element);
    const int64_t step = input.is_empty() ? run : input.number(1, run);
    walk.advance(step);
    element += step;
  }
}

void check_counters(Input& input) {
  const int64_t units = input.size(1, 1 << 20), bins = input.size(0, kMaxBins);
  const CounterLayout layout{units, input.flag() ? units : 1, slot_count(bins), input.flag()};
  // One part after the other.
  int64_t end = CounterLayout::kHeader;
  const auto expect_next = [&](const char* what, int64_t begin, int64_t words) {
    expect_equal(what, end, begin);
    end += words;
  };
  expect_next("zeros", layout.zeros(), units);
  expect_next("dead_calls", layout.dead_calls(), units);
  expect_next("since_fired", layout.since_fired(), units);
  if (layout.saturates) expect_next("saturated", layout.saturated(), units);
  expect_next("histogram", layout.histogram(), layout.rows * (bins == 0 ? 1 : bins + 3));
  expect_equal("size", end, layout.size());
}

void check_strips(Input& input) {
  const UnitLayout layout{input.size(1, 1 << 20), input.size(1, 1 << 20),
                          input.number(1, cpu::kShortestRow - 1)};
  const cpu::UnitStrips strips(layout.outer, layout.units, layout.inner);
  expect("a strip has a unit", strips.units >= 1);
  expect("a strip is not too wide", strips.units * layout.inner <= cpu::kUnitColumns);
  expect("strips hold all units", strips.strips * strips.units >= layout.units);
  expect("no strip is empty", (strips.strips - 1) * strips.units < layout.units);
  expect("rows are read together only if a strip is a row",
         strips.rows_in_one == 1 || (strips.strips == 1 && strips.units == layout.units));
  expect("rows read together are there",
         1 <= strips.rows_in_one && strips.rows_in_one <= layout.outer);
  expect("rows read together are not too wide",
         strips.rows_in_one * strips.units * layout.inner <= cpu::kUnitColumns);
}

void check_tiling(Input& input) {
  const int64_t units = input.size(1, 1 << 20), inner = input.size(1, 1 << 20);
  const int64_t bins = input.size(0, kMaxBins);
  const bool is_narrow = input.flag(), is_relative = input.flag();
  const auto binning = bins == 0 ? Binning::kNone : static_cast<Binning>(input.number(1, 3));
  const cpu::Tiling tiling = cpu::make_tiling(units, inner, bins, binning, is_narrow, is_relative);
  // The kernel makes it again without knowing the type.
  const cpu::Tiling again = cpu::make_tiling(units, inner, bins, binning, false, is_relative);
  expect_equal("columns, whatever the type", tiling.columns, again.columns);
  expect_equal("column words, whatever the type", tiling.column_words, again.column_words);
  expect("there is room for columns", tiling.words >= tiling.column_words);
  if (inner >= cpu::kShortestRow) return expect_equal("by rows", 0, tiling.columns);
  expect_equal("columns are whole rows", 0, tiling.columns % (units * inner));
  expect("there are enough columns", tiling.columns >= cpu::kFewestColumns);
  expect("not more rows than needed",
         tiling.columns == units * inner || tiling.columns - units * inner < cpu::kFewestColumns);
  const int64_t tables = is_relative ? cpu::kFamilyTables : 1;
  expect_equal("column words", (tiling.columns + cpu::kSpan) * tables, tiling.column_words);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  switch (input.number(0, 3)) {
    case 0:
      check_mask_walk(input);
      break;
    case 1:
      check_counters(input);
      break;
    case 2:
      check_strips(input);
      break;
    default:
      check_tiling(input);
  }
  return 0;
}
