#include "cpu/kernels/baseline/counting.cpp"
//
#include "cpu/kernels/baseline/max_pool.cpp"  // what is rectified may be pooled at once

#include <algorithm>
#include <cmath>
#include <vector>

#include "bin_edges.h"
#include "input.h"
#include "pseudorandom.h"

// The loops of counting_relu and activation_hash as processors without AVX run them, against plain
// loops over elements. ReLU stands for itself, ReLU6 for its relatives.

namespace {

using namespace relustat;
using namespace relustat::cpu;
using fuzz::Edges;
using fuzz::expect;
using fuzz::expect_equal;
using fuzz::expected_slot;
using fuzz::Input;
using fuzz::Pseudorandom;

constexpr int64_t kMostElements = 1 << 17;
constexpr double kUpperKnee = 6;

struct Counts {
  std::vector<int64_t> zeros;
  std::vector<int64_t> saturated;
  std::vector<int64_t> histogram;
};

template <class Format>
struct Call {
  using Bits = typename Format::Bits;

  UnitLayout layout;
  Edges edges;  // none: zeros and NaNs only
  bool is_clamped;
  bool has_unit_histograms;
  std::vector<Bits> x;
  std::vector<uint8_t> mask;  // or empty

  int64_t slots() const { return slot_count(bins()); }
  int64_t bins() const { return edges.values.empty() ? 0 : edges.bins(); }
  int64_t rows() const { return has_unit_histograms ? layout.units : 1; }
  bool goes_by_strips() const {
    return mask.empty() && has_unit_histograms && layout.inner < kShortestRow &&
           slots() <= kMostUnitSlots;
  }
  Counts no_counts() const {
    const auto units = static_cast<size_t>(layout.units);
    return {std::vector<int64_t>(units), std::vector<int64_t>(units),
            std::vector<int64_t>(static_cast<size_t>(rows() * slots()))};
  }
};

// Beside edges, and any bits.
template <class Format>
std::vector<typename Format::Bits> read_values(Input& input, const Edges& edges, size_t size) {
  using Bits = typename Format::Bits;
  Pseudorandom random(input.raw<uint64_t>());
  std::vector<Bits> few;
  for (int i = 0; i < 64; ++i) {
    const auto edges_there = static_cast<int64_t>(edges.values.size());
    const float near = edges_there == 0 ? 0 : edges.values[random.below(edges_there)];
    few.push_back(static_cast<Bits>(bits_of<Format>(near) + random.below(5) - 2));
  }
  const int64_t any = input.number(0, 8);  // of eight
  std::vector<Bits> values(size);
  for (Bits& each : values) {
    const auto chosen = static_cast<size_t>(random.below(64));
    each = random.below(8) < any ? static_cast<Bits>(random.word()) : few[chosen];
  }
  return values;
}

template <class Format>
typename Format::Bits expected_output(const Call<Format>& call, typename Format::Bits bits) {
  const double value = Format::value(bits);
  if (value < 0) return 0;
  return call.is_clamped && value > kUpperKnee ? bits_of<Format>(kUpperKnee) : bits;
}

template <class Format>
Counts expected_counts(const Call<Format>& call) {
  const auto& [outer, units, inner] = call.layout;
  Counts counts = call.no_counts();
  for (int64_t i = 0; i < call.layout.elements(); ++i) {
    const double value = Format::value(call.x[i]);
    const int64_t unit = i / inner % units;
    const int64_t row = call.has_unit_histograms ? unit : 0;
    const bool is_hidden =
        !call.mask.empty() && call.mask[i / (inner * units) * inner + i % inner] == 0;
    if (call.bins() > 0) {
      const int64_t slot = is_hidden ? 0 : expected_slot(call.edges.values, value);
      ++counts.histogram[row * call.slots() + slot];
    } else if (!is_hidden) {
      counts.histogram[row] += std::isnan(value) ? 1 : 0;
    }
    if (is_hidden) continue;
    counts.zeros[unit] += value <= 0 ? 1 : 0;
    counts.saturated[unit] += call.is_clamped && value >= kUpperKnee ? 1 : 0;
  }
  return counts;
}

template <class Format>
CountingReluShare share_of(const Call<Format>& call, Counts& counts, Dtype dtype) {
  CountingReluShare share{};
  share.x = call.x.data();
  share.dtype = dtype;
  share.activation = call.is_clamped ? Activation::kClamp : Activation::kRelu;
  share.numbers = {0, call.is_clamped ? kUpperKnee : 0};
  share.mask = call.mask.empty() ? nullptr : call.mask.data();
  share.by_strips = call.goes_by_strips();
  share.outer = call.layout.outer;
  share.units = call.layout.units;
  share.inner = call.layout.inner;
  share.edges = call.edges.values.data();
  share.bins = call.bins();
  share.binning = call.bins() == 0 ? 0 : static_cast<int64_t>(call.edges.kind);
  share.unit_histograms = call.has_unit_histograms;
  share.zeros = counts.zeros.data();
  share.saturated = call.is_clamped ? counts.saturated.data() : nullptr;
  share.histogram = counts.histogram.data();
  return share;
}

void expect_counts(const char* what, const std::vector<int64_t>& expected,
                   const std::vector<int64_t>& got) {
  for (size_t i = 0; i < expected.size(); ++i) {
    expect_equal(what, expected[i], got[i], static_cast<int64_t>(i));
  }
}

// In two shares, as two threads have them.
template <class Format>
void check_call(Input& input, const Call<Format>& call, Dtype dtype) {
  using Bits = typename Format::Bits;
  const int64_t words =
      make_tiling(call.layout.units, call.layout.inner, call.bins(),
                  static_cast<Binning>(call.edges.kind), sizeof(Bits) == 2, call.is_clamped)
          .words;
  std::vector<uint32_t> scratch(static_cast<size_t>(words));
  std::vector<Bits> y(call.x.size());
  Counts counts = call.no_counts();
  CountingReluShare share = share_of(call, counts, dtype);
  share.y = y.data();
  share.scratch = scratch.data();
  const int64_t parts = share.by_strips ? call.layout.outer : call.layout.elements();
  const int64_t cut = input.number(0, parts);
  if (share.by_strips) share.end = UnitStrips(share.outer, share.units, share.inner).strips;
  for (const auto& [begin, end] : {std::pair{int64_t{0}, cut}, {cut, parts}}) {
    if (begin == end) continue;
    (share.by_strips ? share.row_begin : share.begin) = begin;
    (share.by_strips ? share.row_end : share.end) = end;
    counting_relu_share(share);
  }
  const Counts expected = expected_counts(call);
  expect_counts("zeros", expected.zeros, counts.zeros);
  if (call.is_clamped) expect_counts("saturated", expected.saturated, counts.saturated);
  expect_counts("histogram", expected.histogram, counts.histogram);
  for (size_t i = 0; i < y.size(); ++i) {
    if (is_nan<Format>(call.x[i]) && is_nan<Format>(y[i])) continue;
    const auto output = static_cast<int64_t>(expected_output(call, call.x[i]));
    expect_equal("output", output, static_cast<int64_t>(y[i]), static_cast<int64_t>(i));
  }
  const auto is_0 = [](uint32_t word) { return word == 0; };
  expect("the scratch is 0 again", std::all_of(scratch.begin(), scratch.end(), is_0));
}

template <class Format>
void check_hashes(Input& input, const Call<Format>& call, Dtype dtype) {
  const int64_t units = call.layout.units * call.layout.inner;
  const auto salt = input.raw<int64_t>();
  std::vector<uint64_t> got(static_cast<size_t>(call.layout.outer));
  const int64_t cut = input.number(0, units);
  for (const auto& [begin, end] : {std::pair{int64_t{0}, cut}, {cut, units}}) {
    activation_hash_share(
        {call.x.data(), dtype, units, salt, 0, call.layout.outer, begin, end, got.data()});
  }
  // A step before the salt's own word.
  const uint64_t seed = Pseudorandom(static_cast<uint64_t>(salt) - Pseudorandom::kStep).word();
  for (int64_t sample = 0; sample < call.layout.outer; ++sample) {
    uint64_t expected = 0;
    for (int64_t unit = 0; unit < units; ++unit) {
      if (!(Format::value(call.x[sample * units + unit]) > 0)) continue;
      expected ^= Pseudorandom(seed + static_cast<uint64_t>(unit) * Pseudorandom::kStep).word();
    }
    expect("hash", expected == got[sample], sample);
  }
}

template <class Format>
void check_format(Input& input, Dtype dtype) {
  Call<Format> call{};
  call.layout.units = input.size(1, 300);
  call.layout.inner = input.size(1, std::max<int64_t>(kMostElements / call.layout.units / 8, 1));
  call.layout.outer = input.size(1, kMostElements / (call.layout.units * call.layout.inner));
  if (input.flag()) call.edges = fuzz::read_edges(input);
  if (!call.edges.values.empty() && !call.edges.are_of_their_kind) return;
  call.is_clamped = input.flag();
  call.has_unit_histograms = call.bins() > 0 && call.bins() <= 2000 && input.flag();
  const auto size = static_cast<size_t>(call.layout.elements());
  call.x = read_values<Format>(input, call.edges, size);
  if (input.flag()) {
    Pseudorandom random(input.raw<uint64_t>());
    call.mask.resize(static_cast<size_t>(call.layout.elements_per_unit()));
    for (uint8_t& each : call.mask) each = static_cast<uint8_t>(random.below(2));
  }
  check_call(input, call, dtype);
  check_hashes(input, call, dtype);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  switch (input.number(0, 3)) {
    case 0:
      check_format<Float32>(input, Dtype::kFloat32);
      break;
    case 1:
      check_format<Float64>(input, Dtype::kFloat64);
      break;
    case 2:
      check_format<BFloat16>(input, Dtype::kBFloat16);
      break;
    default:
      check_format<Float16>(input, Dtype::kFloat16);
  }
  return 0;
}
