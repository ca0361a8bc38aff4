#include "cpu/kernels/baseline/max_pool.cpp"
//
#include "cpu/kernels/baseline/max_unpool.cpp"

#include <map>
#include <vector>

#include "cpu/scratch.h"
#include "input.h"
#include "poolings.h"
#include "pseudorandom.h"
#include "relu/family.h"

// The loops of max_pool, max_unpool and its gradient as processors without AVX run them, against
// plain loops over windows and taps.

namespace {

using namespace relustat;
using namespace relustat::cpu;
using fuzz::cell_of;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::Input;
using fuzz::Pseudorandom;

// Rows of many windows and of few.
constexpr fuzz::WindowLimits kWideWindows{80, 4, 4};

// Planes, or images with the channels last.
template <class Format, class Offset>
struct Call {
  using Bits = typename Format::Bits;

  Dtype dtype;
  PoolingNumbers pooling;
  int64_t planes;
  int64_t channels;
  std::vector<Bits> x;
  std::vector<Bits> y;
  std::vector<Offset> offsets;

  int64_t cells() const { return pooling.d.input * pooling.h.input * pooling.w.input; }
  int64_t windows() const { return pooling.d.output * pooling.h.output * pooling.w.output; }

  // The position of the cell that a tap of an output sees, or -1.
  int64_t cell(int64_t output, int64_t tap) const {
    const auto& [d, h, w] = pooling;
    const int64_t window = output / channels % windows();
    const int64_t at_d = cell_of(d, window / (h.output * w.output), tap / (h.kernel * w.kernel));
    const int64_t at_h = cell_of(h, window / w.output % h.output, tap / w.kernel % h.kernel);
    const int64_t at_w = cell_of(w, window % w.output, tap % w.kernel);
    const bool is_inside =
        0 <= at_d && at_d < d.input && 0 <= at_h && at_h < h.input && 0 <= at_w && at_w < w.input;
    if (!is_inside) return -1;
    const int64_t plane = output / channels / windows();
    const int64_t at = ((plane * d.input + at_d) * h.input + at_h) * w.input + at_w;
    return at * channels + output % channels;
  }
};

// NaN is the largest.
template <class Format>
bool takes_over(typename Format::Bits bits, typename Format::Bits largest) {
  const auto value = Format::value(bits), most = Format::value(largest);
  return value != value || value > most;
}

// Bits that may be those of another NaN are not compared.
template <class Format>
void expect_bits(const char* what, typename Format::Bits expected, typename Format::Bits got,
                 int64_t at) {
  if (is_nan<Format>(expected) && is_nan<Format>(got)) return;
  expect_equal(what, static_cast<int64_t>(expected), static_cast<int64_t>(got), at);
}

// In two shares, as two threads have them.
template <class Share>
void run_in_two(Input& input, Share share, int64_t parts, void (*run)(const Share&)) {
  const int64_t cut = input.number(0, parts);
  for (const auto& [begin, end] : {std::pair{int64_t{0}, cut}, {cut, parts}}) {
    share.begin = begin;
    share.end = end;
    if (begin < end) run(share);
  }
}

template <class Format, class Offset>
void check_pool(Input& input, Call<Format, Offset>& call) {
  const Pooling pooling(call.pooling);
  MaxPoolShare share{};
  share.x = call.x.data();
  share.y = call.y.data();
  share.offsets = call.offsets.data();
  share.dtype = call.dtype;
  share.wide_offsets = sizeof(Offset) == 2;
  share.pooling = call.pooling;
  share.channels = call.channels > 1 ? call.channels : 0;
  const PoolPlan plan(pooling, share.channels, sizeof(typename Format::Bits));
  const Scratch scratch(plan.bytes);
  share.scratch = scratch.memory();
  const int64_t in_part = plan.is_by_planes    ? call.windows()
                          : share.channels > 0 ? call.channels
                                               : call.pooling.w.output;
  const auto outputs = static_cast<int64_t>(call.y.size());
  run_in_two<MaxPoolShare>(input, share, outputs / in_part, max_pool_share);
  for (int64_t i = 0; i < outputs; ++i) {
    int64_t best = -1;
    for (int64_t tap = 0; tap < pooling.taps(); ++tap) {
      const int64_t cell = call.cell(i, tap);
      if (cell < 0) continue;
      if (best < 0 || takes_over<Format>(call.x[cell], call.x[call.cell(i, best)])) best = tap;
    }
    expect_equal("max_pool's switch", best, call.offsets[i], i);
    expect_bits<Format>("max_pool's output", call.x[call.cell(i, best)], call.y[i], i);
  }
}

// Of each cell that has some, the outputs that point at it, in row-major order.
template <class Format, class Offset>
std::map<int64_t, std::vector<int64_t>> by_cell(const Call<Format, Offset>& call) {
  std::map<int64_t, std::vector<int64_t>> found;
  for (size_t i = 0; i < call.y.size(); ++i) {
    const auto output = static_cast<int64_t>(i);
    found[call.cell(output, call.offsets[i])].push_back(output);
  }
  return found;
}

template <class Format, class Offset>
int64_t winner(const Call<Format, Offset>& call, const std::vector<int64_t>& candidates,
               Overlap overlap) {
  if (overlap == Overlap::kLast) return candidates.back();
  int64_t best = candidates[0];
  for (const int64_t i : candidates) {
    if (takes_over<Format>(call.y[i], call.y[best])) best = i;
  }
  return best;
}

template <class Format, class Offset>
void check_unpool(Input& input, const Call<Format, Offset>& call, Overlap overlap) {
  using Bits = typename Format::Bits;
  const Pooling pooling(call.pooling);
  std::vector<TapPosition> positions(static_cast<size_t>(pooling.taps()));
  find_tap_positions(pooling, positions.data());
  std::vector<Bits> x(call.x.size(), static_cast<Bits>(0x5a5a));
  MaxUnpoolShare share{};
  share.y = call.y.data();
  share.offsets = call.offsets.data();
  share.x = x.data();
  share.dtype = call.dtype;
  share.wide_offsets = sizeof(Offset) == 2;
  share.overlap = overlap;
  share.pooling = call.pooling;
  share.planes = call.planes;
  share.channels = call.channels;
  share.positions = positions.data();
  const UnpoolPlan plan(pooling, share.planes, share.channels, share.dtype, overlap);
  const Scratch scratch(plan.bytes);
  share.scratch = scratch.memory();
  const int64_t parts = plan.is_by_planes ? call.planes : call.planes * plan.slices;
  run_in_two<MaxUnpoolShare>(input, share, parts, [](const MaxUnpoolShare& each) {
    expect("max_unpool finds all switches right", max_unpool_share(each));
  });
  const auto found = by_cell(call);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto cell = static_cast<int64_t>(i);
    const auto candidates = found.find(cell);
    if (candidates == found.end()) {
      expect_equal("a cell without a switch", 0, static_cast<int64_t>(x[i]), cell);
    } else if (overlap == Overlap::kSum) {
      // Small integers, whose sums are exact.
      double sum = 0;
      for (const int64_t each : candidates->second) sum += Format::value(call.y[each]);
      expect("max_unpool's sum", sum == Format::value(x[i]), cell);
    } else {
      const int64_t expected = winner(call, candidates->second, overlap);
      expect_bits<Format>("max_unpool's cell", call.y[expected], x[i], cell);
    }
  }
}

// The gradients of cells are their values.
template <class Format, class Offset>
void check_backward(Input& input, const Call<Format, Offset>& call, Overlap overlap) {
  const Pooling pooling(call.pooling);
  std::vector<TapPosition> positions(static_cast<size_t>(pooling.taps()));
  find_tap_positions(pooling, positions.data());
  std::vector<typename Format::Bits> got(call.y.size());
  MaxUnpoolBackwardShare share{};
  share.gradient = call.x.data();
  share.y = call.y.data();
  share.offsets = call.offsets.data();
  share.y_gradient = got.data();
  share.dtype = call.dtype;
  share.wide_offsets = sizeof(Offset) == 2;
  share.overlap = overlap;
  share.pooling = call.pooling;
  share.channels = call.channels;
  share.positions = positions.data();
  const auto outputs = static_cast<int64_t>(got.size());
  run_in_two<MaxUnpoolBackwardShare>(
      input, share, outputs / (call.pooling.w.output * call.channels), max_unpool_backward_share);
  for (const auto& [cell, candidates] : by_cell(call)) {
    for (const int64_t i : candidates) {
      const bool has_gradient = overlap == Overlap::kSum || winner(call, candidates, overlap) == i;
      expect_bits<Format>("the gradient", has_gradient ? call.x[cell] : 0, got[i], i);
    }
  }
}

template <class Format, class Offset>
void check(Input& input, Dtype dtype, const PoolingNumbers& pooling) {
  using Bits = typename Format::Bits;
  Call<Format, Offset> call{dtype, pooling, input.number(1, 40), 1, {}, {}, {}};
  if (input.flag()) call.channels = input.size(1, 40);
  const auto overlap = static_cast<Overlap>(input.number(0, 2));
  const bool are_any = overlap != Overlap::kSum && input.flag();
  Pseudorandom random(input.raw<uint64_t>());
  call.x.resize(static_cast<size_t>(call.planes * call.cells() * call.channels));
  for (Bits& each : call.x) {
    const auto number = static_cast<float>(random.below(5) - 2);
    each = are_any ? static_cast<Bits>(random.word()) : bits_of<Format>(number);
  }
  call.y.resize(static_cast<size_t>(call.planes * call.windows() * call.channels));
  call.offsets.resize(call.y.size());
  check_pool(input, call);
  check_unpool(input, call, overlap);
  check_backward(input, call, overlap);
}

template <class Format>
void check_format(Input& input, Dtype dtype, const PoolingNumbers& pooling) {
  input.flag() ? check<Format, uint8_t>(input, dtype, pooling)
               : check<Format, int16_t>(input, dtype, pooling);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const int64_t format = input.number(0, 3);
  PoolingNumbers pooling{};
  if (!fuzz::read_pooling(input, pooling)) return 0;
  if (input.flag()) {
    pooling.w = fuzz::read_window(input, kWideWindows);
    if (!fuzz::set_output(pooling.w, input.flag())) return 0;
  } else if (input.flag()) {
    // As most networks pool.
    pooling.d = {1, 1, 1, 1, 0, 1};
    pooling.h = {input.number(2, 9), 0, 2, 2, 0, 1};
    pooling.w = {input.number(2, 80), 0, 2, 2, 0, 1};
    if (!fuzz::set_output(pooling.h, false) || !fuzz::set_output(pooling.w, false)) return 0;
  }
  switch (format) {
    case 0:
      check_format<Float32>(input, Dtype::kFloat32, pooling);
      break;
    case 1:
      check_format<Float64>(input, Dtype::kFloat64, pooling);
      break;
    case 2:
      check_format<BFloat16>(input, Dtype::kBFloat16, pooling);
      break;
    default:
      check_format<Float16>(input, Dtype::kFloat16, pooling);
  }
  return 0;
}
