#include "cuda/relu/counting_relu.cuh"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data.cuh"
#include "relu_reference.cuh"
#include "timing.cuh"

namespace probe {
namespace {

using relustat::Binning;
using relustat::CounterLayout;
using relustat::UnitLayout;
using relustat::cuda::Count;
using relustat::cuda::CountingReluCall;
using relustat::cuda::CountingReluLimits;

struct Kind {
  const char* name;
  Binning binning;
  std::vector<float> edges;
  bool per_unit;

  int64_t bins() const { return edges.empty() ? 0 : static_cast<int64_t>(edges.size()) - 1; }
};

struct Shape {
  const char* name;
  UnitLayout units;
};

// Eight to an octave, from 2^-14 to 2^16, and their negatives.
std::vector<float> log_edges() {
  std::vector<float> above;
  for (int i = 0; i <= 30 * 8; ++i) above.push_back(std::ldexp(1 + i % 8 / 8.0f, i / 8 - 14));
  std::vector<float> edges{0};
  for (float edge : above) edges.insert(edges.end(), {edge, -edge});
  std::sort(edges.begin(), edges.end());
  return edges;
}

std::vector<float> linear_edges() {
  std::vector<float> edges;
  for (int i = 0; i <= 200; ++i) edges.push_back(static_cast<float>(-4 + 8.0 * i / 200));
  return edges;
}

std::vector<Kind> kinds() {
  return {{"zeros only", Binning::kNone, {}, false},
          {"LogBins", Binning::kLog, log_edges(), false},
          {"LinearBins", Binning::kLinear, linear_edges(), false},
          {"LogBins per unit", Binning::kLog, log_edges(), true},
          {"LinearBins per unit", Binning::kLinear, linear_edges(), true}};
}

std::vector<Shape> shapes(Mode mode) {
  if (mode == Mode::kSmall) {
    return {{"3x5x7", {3, 5, 7}}, {"9x64", {9, 64, 1}}, {"1x2x40001", {1, 2, 40001}}};
  }
  return {{"64x64x128x128", {64, 64, 128 * 128}},   {"16384x4096", {16384, 4096, 1}},
          {"1x64x1024x1024", {1, 64, 1024 * 1024}}, {"4x64x512x512", {4, 64, 512 * 512}},
          {"1x3x1001x1001", {1, 3, 1001 * 1001}},   {"16x64x8x8", {16, 64, 64}}};
}

CountingReluLimits current_limits(const Options& options) {
  int of_processor = 0, reserved = 0, of_block = 0;
  PROBE_CHECK(
      cudaDeviceGetAttribute(&of_processor, cudaDevAttrMaxSharedMemoryPerMultiprocessor, 0));
  PROBE_CHECK(cudaDeviceGetAttribute(&reserved, cudaDevAttrReservedSharedMemoryPerBlock, 0));
  PROBE_CHECK(cudaDeviceGetAttribute(&of_block, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  constexpr int kBlocksOfProcessor = relustat::cuda::kCountingReluBlocksPerProcessor;
  return {.threads = relustat::cuda::kCountingReluThreads,
          .blocks = options.processors * kBlocksOfProcessor,
          .shared_bytes = std::min(of_processor / kBlocksOfProcessor - reserved, of_block),
          .most_pending = int64_t{1} << 30};
}

template <class Format>
class Rows {
 public:
  Rows(const Options& options, const char* format) : options_(options), format_(format) {}

  int of_shape(const Shape& shape) {
    int wrong = 0;
    const double plain = options_.mode == Mode::kTimed ? plain_time(shape.units.elements()) : 0;
    for (const Kind& kind : kinds()) wrong += row(shape, kind, plain);
    return wrong;
  }

 private:
  using Bits = typename Format::Bits;

  // Two inputs, so that large ones are not in the cache when their turn comes.
  double plain_time(int64_t elements) {
    constexpr int64_t kVector = sizeof(uint4) / sizeof(Bits);
    const Array<Bits> x(2 * elements), y(elements);
    fill<Format>(x, true);
    return microseconds([&](int i) {
      const auto* const from = reinterpret_cast<const uint4*>(x.data());
      const int64_t vectors = elements / kVector;
      plain_relu<Format><<<kBlocks, kThreads>>>(from + i % 2 * vectors,
                                                reinterpret_cast<uint4*>(y.data()), vectors);
      PROBE_CHECK(cudaGetLastError());
    });
  }

  int row(const Shape& shape, const Kind& kind, double plain) {
    const int64_t elements = shape.units.elements();
    const int64_t slots = relustat::slot_count(kind.bins());
    const CounterLayout layout{shape.units.units, kind.per_unit ? shape.units.units : 1, slots};
    const Array<Bits> x(elements), y(elements), expected_y(elements);
    const Array<float> edges(kind.edges.empty() ? std::vector<float>{0} : kind.edges);
    const Array<Count> counters(layout.size()), expected(layout.size());
    const Array<Count> workspace(relustat::cuda::Workspace::size(layout));
    fill<Format>(x, false);
    y.fill_bytes(0x5a);
    workspace.fill_bytes(0);
    std::vector<Count> begin(layout.size());
    begin[CounterLayout::kEvery] = 1;
    PROBE_CHECK(
        cudaMemcpy(counters.data(), begin.data(), counters.bytes(), cudaMemcpyHostToDevice));

    CountingReluCall call{};
    call.x = x.data();
    call.y = y.data();
    call.edges = edges.data();
    call.bins = kind.bins();
    call.counters = counters.data();
    call.workspace = workspace.data();
    call.layout = layout;
    run(kind, shape.units, call);

    expected.fill_bytes(0);
    relu_reference<Format><<<kBlocks, kThreads>>>(x.data(), expected_y.data(), shape.units, layout,
                                                  edges.data(), static_cast<int32_t>(kind.bins()),
                                                  expected.data());
    PROBE_CHECK(cudaGetLastError());
    const bool exact = are_equal(y, expected_y) &&
                       counters.values() == completed(expected.values(), shape.units, layout) &&
                       workspace.values() == std::vector<Count>(workspace.size());
    std::printf("counting_relu %-14s %-8s %-20s %16s %s", shape.name, format_, kind.name, "",
                exact ? "exact" : "WRONG");
    if (options_.mode == Mode::kTimed) {
      fill<Format>(x, true);
      const Array<Bits> other(elements);
      fill<Format>(other, true);
      const double taken = microseconds([&](int i) {
        call.x = i % 2 == 0 ? x.data() : other.data();
        run(kind, shape.units, call);
      });
      std::printf(" %9.1f us  %5.2f x plain", taken, taken / plain);
    }
    std::printf("\n");
    return exact ? 0 : 1;
  }

  void run(const Kind& kind, const UnitLayout& units, const CountingReluCall& call) const {
    const CountingReluLimits limits = current_limits(options_);
    relustat::cuda::with_counting_relu_kernel_of<Format, /*kWrites=*/true>(
        kind.binning, units, limits, call, [](auto kernel, const CountingReluCall& arguments) {
          const auto& tiling = arguments.tiling;
          PROBE_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           static_cast<int>(tiling.shared_bytes)));
          kernel<<<tiling.blocks, relustat::cuda::kCountingReluThreads, tiling.shared_bytes>>>(
              arguments);
          PROBE_CHECK(cudaGetLastError());
        });
  }

  // What the reference leaves out: it sees one element at a time.
  static std::vector<Count> completed(std::vector<Count> counters, const UnitLayout& units,
                                      const CounterLayout& layout) {
    counters[CounterLayout::kEvery] = 1;
    counters[CounterLayout::kTicks] = 1;
    counters[CounterLayout::kCalls] = 1;
    counters[CounterLayout::kElements] = static_cast<Count>(units.elements());
    for (int64_t unit = 0; unit < units.units; ++unit) {
      const bool is_dead =
          counters[layout.zeros() + unit] == static_cast<Count>(units.elements_per_unit());
      counters[layout.dead_calls() + unit] = is_dead ? 1 : 0;
    }
    return counters;
  }

  const Options& options_;
  const char* const format_;
};

}  // namespace

int counting_relu_rows(const Options& options) {
  int wrong = 0;
  for (const Shape& shape : shapes(options.mode)) {
    wrong += Rows<relustat::Float32>(options, "float32").of_shape(shape);
    wrong += Rows<relustat::BFloat16>(options, "bfloat16").of_shape(shape);
    wrong += Rows<relustat::Float16>(options, "float16").of_shape(shape);
  }
  return wrong;
}

}  // namespace probe
