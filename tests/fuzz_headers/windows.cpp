#include "pool/window.h"

#include <utility>
#include <vector>

#include "cuda/common/divider.h"
#include "cuda/pool/pooling_call.h"
#include "input.h"
#include "poolings.h"

// The arithmetic of windows along one axis. Of few cells, everything is listed and counted. Of
// many, numbers of 128 bits say what is expected.

namespace {

using namespace relustat;
using fuzz::cell_of;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::Input;
using Wide = __int128;

Wide floor_of(Wide a, Wide b) { return a / b - (a % b < 0 ? 1 : 0); }
Wide ceil_of(Wide a, Wide b) { return a / b + (a % b > 0 ? 1 : 0); }

void check_divisions(Input& input) {
  const int64_t a = input.number(-(int64_t{1} << 62), int64_t{1} << 62);
  const int64_t b = input.size(1, int64_t{1} << 40);
  expect_equal("floor_divide", static_cast<int64_t>(floor_of(a, b)), floor_divide(a, b));
  expect_equal("ceil_divide", static_cast<int64_t>(ceil_of(a, b)), ceil_divide(a, b));
  const int64_t divisor = input.size(1, INT32_MAX);
  const cuda::Divider<int32_t> by(divisor);
  const auto n = static_cast<int32_t>(input.number(0, INT32_MAX));
  const cuda::Split<int32_t> split(n, by);
  expect_equal("Divider", n / divisor, by.quotient(n), n);
  expect_equal("Split's last", n % divisor, split.last, n);
  expect_equal("Split's rest", n / divisor, split.rest, n);
}

// As the documentation of nn.MaxPool2d has it.
int64_t expected_output(const WindowNumbers& numbers, bool ceil_mode) {
  const Wide room =
      Wide{numbers.input} + 2 * numbers.padding - Wide{numbers.dilation} * (numbers.kernel - 1) - 1;
  if (!ceil_mode) return static_cast<int64_t>(floor_of(room, numbers.stride) + 1);
  const Wide output = ceil_of(room, numbers.stride) + 1;
  const bool begins_outside =
      (output - 1) * numbers.stride >= Wide{numbers.input} + numbers.padding;
  return static_cast<int64_t>(begins_outside ? output - 1 : output);
}

template <class Index>
void expect_range(const char* what, const std::vector<int64_t>& expected, BasicRange<Index> range,
                  int64_t at) {
  expect_equal(what, static_cast<int64_t>(expected.size()), range.size(), at);
  for (size_t i = 0; i < expected.size(); ++i) {
    expect_equal(what, expected[i], range.begin + static_cast<Index>(i), at);
  }
}

template <class Index>
void check_taps(const WindowNumbers& numbers, int64_t begin, int64_t end) {
  const BasicWindow<Index> window(numbers);
  std::vector<int64_t> whole;
  for (int64_t o = 0; o < numbers.output; ++o) {
    std::vector<int64_t> inside, within;
    for (int64_t tap = 0; tap < numbers.kernel; ++tap) {
      const int64_t cell = cell_of(numbers, o, tap);
      expect_equal("cell", cell, window.cell(o, tap), tap);
      if (0 <= cell && cell < numbers.input) inside.push_back(tap);
      if (begin <= cell && cell < end) within.push_back(tap);
    }
    expect_range("taps_inside", inside, window.taps_inside(o), o);
    const BasicRange<Index> cells{static_cast<Index>(begin), static_cast<Index>(end)};
    expect_range("taps_within", within, window.taps_within(o, cells), o);
    if (static_cast<int64_t>(inside.size()) == numbers.kernel) whole.push_back(o);
  }
  expect_range("whole_windows", whole, window.whole_windows(), 0);
}

template <class Index>
void check_covers(const WindowNumbers& numbers) {
  const BasicWindow<Index> window(numbers);
  bool any_in_two = false;
  for (int64_t cell = -numbers.padding; cell < numbers.input + numbers.padding; ++cell) {
    std::vector<std::pair<int64_t, int64_t>> expected, covers;
    int64_t spans = 0;
    for (int64_t o = 0; o < numbers.output; ++o) {
      const int64_t distance = cell - (o * numbers.stride - numbers.padding);
      const int64_t reach = (numbers.kernel - 1) * numbers.dilation;
      spans += 0 <= distance && distance <= reach ? 1 : 0;
      for (int64_t tap = 0; tap < numbers.kernel; ++tap) {
        if (tap * numbers.dilation == distance) expected.emplace_back(o, tap);
      }
    }
    any_in_two |= expected.size() > 1;
    const auto near = window.windows_near(cell);
    window.for_each_cover(cell, near, [&](Index o, Index tap) { covers.emplace_back(o, tap); });
    expect("for_each_cover", covers == expected, cell);
    expect_equal("windows_near", spans, near.size(), cell);
    expect("most_near", near.size() <= window.most_near(), cell);
  }
  expect("overlaps", window.overlaps() || !any_in_two);
}

void check_few_cells(Input& input) {
  WindowNumbers numbers = fuzz::read_window(input, fuzz::kSmallWindows);
  const bool ceil_mode = input.flag();
  const bool is_valid = fuzz::set_output(numbers, ceil_mode);
  const int64_t expected = expected_output(numbers, ceil_mode);
  expect_equal("output_size", expected, numbers.output);
  if (!is_valid) return;
  const int64_t begin = input.number(-4, 16);
  const int64_t end = input.number(begin, 16);
  check_taps<int64_t>(numbers, begin, end);
  check_taps<int32_t>(numbers, begin, end);
  check_covers<int64_t>(numbers);
  check_covers<int32_t>(numbers);
}

// What windows at both ends and a cell have.
template <class Index>
void check_some(const WindowNumbers& numbers, int64_t o, int64_t cell) {
  const BasicWindow<Index> window(numbers);
  const Wide start = Wide{o} * numbers.stride - numbers.padding;
  const Wide reach = Wide{numbers.kernel - 1} * numbers.dilation;
  expect_equal("start", static_cast<int64_t>(start), window.start(o), o);
  const auto taps = window.taps_inside(o);
  const auto is_inside = [&](Wide tap) {
    const Wide at = start + tap * numbers.dilation;
    return 0 <= at && at < numbers.input;
  };
  if (taps.size() > 0) {
    expect("the first tap inside",
           is_inside(taps.begin) && !(taps.begin > 0 && is_inside(taps.begin - 1)));
    expect("the last tap inside",
           is_inside(taps.end - 1) && !(taps.end < numbers.kernel && is_inside(taps.end)));
  } else {
    for (int64_t tap = 0; tap < numbers.kernel; ++tap)
      expect("no tap inside", !is_inside(tap), tap);
  }
  const bool is_whole = start >= 0 && start + reach < numbers.input;
  expect("whole_windows", window.whole_windows().contains(o) == is_whole, o);
  const bool is_near = start <= cell && cell <= start + reach;
  expect("windows_near", window.windows_near(cell).contains(o) == is_near, o);
  if (!is_near) return;
  const Wide distance = cell - start;
  const Wide tap = distance % numbers.dilation == 0 ? distance / numbers.dilation : -1;
  expect_equal("tap_at", static_cast<int64_t>(tap), window.tap_at(o, cell), o);
}

bool fits_narrow_index(const WindowNumbers& numbers) {
  constexpr WindowNumbers kOne{1, 1, 1, 1, 0, 1};
  const cuda::PoolingCall call{Dtype::kFloat32, false, {kOne, kOne, numbers}, 1, 1};
  return call.fits_narrow_index();
}

void check_many_cells(Input& input) {
  WindowNumbers numbers = fuzz::read_window(input, fuzz::kLargeWindows);
  const bool ceil_mode = input.flag();
  const int64_t expected = expected_output(numbers, ceil_mode);
  numbers.output = Window::output_size(numbers.input, numbers.kernel, numbers.stride,
                                       numbers.padding, numbers.dilation, ceil_mode);
  expect_equal("output_size", expected, numbers.output);
  // No tensor has more cells. Only the size of one that is wanted may be anything.
  if (numbers.output <= 0 || numbers.input > INT64_MAX / 4) return;
  const int64_t near_end = numbers.output - 1 - input.size(0, numbers.output - 1);
  const int64_t cell = input.number(0, numbers.input - 1);
  const int64_t above_cell = cell / numbers.stride < numbers.output ? cell / numbers.stride : 0;
  for (const int64_t o : {int64_t{0}, near_end, numbers.output - 1, above_cell}) {
    check_some<int64_t>(numbers, o, cell);
    if (fits_narrow_index(numbers)) check_some<int32_t>(numbers, o, cell);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  switch (input.number(0, 2)) {
    case 0:
      check_divisions(input);
      break;
    case 1:
      check_few_cells(input);
      break;
    default:
      check_many_cells(input);
  }
  return 0;
}
