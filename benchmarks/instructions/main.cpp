// Calls one kernel once, for valgrind to count its instructions: those of measured(), no others.
//     main relu BINNING BINS UNITS INNER | family BINNING BINS UNITS INNER ACTIVATION |
//          units BINNING BINS UNITS | narrow BINNING BINS |
//          pool KERNEL SIZE | unpool KERNEL SIZE | relu_pool BINNING BINS KERNEL SIZE
// The kernels are the AVX2 ones: valgrind knows no AVX-512.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu/kernels/avx2/target.h"
//
#include "cpu/kernels/pool/max_pool_body.h"
#include "cpu/kernels/pool/max_unpool_body.h"
#include "cpu/kernels/pool/tap_positions.h"
#include "cpu/kernels/relu/counting_relu_body.h"

namespace {

using relustat::cpu::CountingReluShare;
using relustat::cpu::MaxPoolShare;
using relustat::cpu::MaxUnpoolShare;

std::vector<float> normal(size_t elements) {
  std::mt19937 generator(0);
  std::normal_distribution<float> distribution(0, 5);
  std::vector<float> x(elements);
  for (float& value : x) value = distribution(generator);
  return x;
}

// Octaves from 2^-14 to 2^16 in eighths, or equal bins from -15 to 15.
std::vector<float> edges_of(relustat::Binning binning, int bins) {
  std::vector<float> edges;
  if (binning == relustat::Binning::kLog) {
    for (int step = 30 * 8; step >= 0; --step) {
      edges.push_back(-std::ldexp(1 + step % 8 / 8.0f, step / 8 - 14));
    }
    edges.push_back(0);
    for (int step = 0; step <= 30 * 8; ++step) {
      edges.push_back(std::ldexp(1 + step % 8 / 8.0f, step / 8 - 14));
    }
  } else if (binning != relustat::Binning::kNone) {
    for (int i = 0; i <= bins; ++i) edges.push_back(static_cast<float>(-15 + 30.0 * i / bins));
  }
  return edges;
}

[[gnu::noinline]] void measured(const CountingReluShare& share) {
  relustat::cpu::counting_relu_share(share);
}
[[gnu::noinline]] void measured(const MaxPoolShare& share) { relustat::cpu::max_pool_share(share); }
[[gnu::noinline]] void measured(const MaxUnpoolShare& share) {
  relustat::cpu::max_unpool_share(share);
}

constexpr int64_t kElements = int64_t{1} << 20;

// x: elements of [outer, units, inner]. `pooled` and its scratch: or null.
void run_relu(const void* x, relustat::Dtype dtype, char** binning_and_bins, int64_t units,
              int64_t inner, bool by_strips, int64_t elements = kElements,
              const relustat::cpu::PooledTensor* pooled = nullptr, void* pool_scratch = nullptr,
              relustat::Activation activation = relustat::Activation::kRelu) {
  const auto binning = static_cast<relustat::Binning>(std::atoi(binning_and_bins[0]));
  const auto edges = edges_of(binning, std::atoi(binning_and_bins[1]));
  std::vector<float> y(elements);
  CountingReluShare share{};
  share.x = x;
  share.y = y.data();
  share.pooled = pooled;
  share.pool_scratch = pool_scratch;
  share.dtype = dtype;
  share.activation = activation;
  share.numbers = {0.1, 6};
  share.outer = share.row_end = elements / units / inner;
  share.by_strips = share.unit_histograms = by_strips;
  share.end = by_strips ? relustat::cpu::UnitStrips(share.outer, units, inner).strips : elements;
  share.units = units;
  share.inner = inner;
  share.edges = edges.data();
  share.bins = edges.empty() ? 0 : static_cast<int64_t>(edges.size()) - 1;
  share.binning = static_cast<int64_t>(binning);
  const int64_t slots = relustat::slot_count(share.bins);
  std::vector<int64_t> zeros(units), saturated(units), histogram(slots * (by_strips ? units : 1));
  const auto tiling = relustat::cpu::make_tiling(units, inner, share.bins, binning,
                                                 dtype == relustat::Dtype::kBFloat16,
                                                 activation != relustat::Activation::kRelu);
  std::vector<uint32_t> scratch(tiling.words);
  share.zeros = zeros.data();
  if (relustat::saturates(activation)) share.saturated = saturated.data();
  share.histogram = histogram.data();
  share.scratch = scratch.data();
  measured(share);
}

void run_narrow(char** binning_and_bins) {
  const auto x = normal(kElements);
  std::vector<uint16_t> upper_halves(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    upper_halves[i] = static_cast<uint16_t>(relustat::bit_cast<uint32_t>(x[i]) >> 16);
  }
  run_relu(upper_halves.data(), relustat::Dtype::kBFloat16, binning_and_bins, 64, 784, false);
}

relustat::PoolingNumbers square(int64_t kernel, int64_t size) {
  const relustat::WindowNumbers none{
      .input = 1, .output = 1, .kernel = 1, .stride = 1, .padding = 0, .dilation = 1};
  const relustat::WindowNumbers one{.input = size,
                                    .output = (size - kernel) / 2 + 1,
                                    .kernel = kernel,
                                    .stride = 2,
                                    .padding = 0,
                                    .dilation = 1};
  return {none, one, one};
}

// As many planes as make 16 of 112x112.
int64_t planes_of(int64_t size) { return 16 * 112 * 112 / (size * size); }

// Planes of numbers, and what a pooling writes of them.
struct Pool {
  explicit Pool(char** kernel_and_size)
      : size(std::atoll(kernel_and_size[1])),
        planes(planes_of(size)),
        numbers(square(std::atoll(kernel_and_size[0]), size)),
        pooling(numbers),
        x(normal(planes * size * size)),
        y(planes * pooling.outputs()),
        offsets(y.size()) {
    share.pooling = numbers;
    share.y = y.data();
    share.offsets = offsets.data();
  }

  const int64_t size;
  const int64_t planes;
  const relustat::PoolingNumbers numbers;
  const relustat::Pooling pooling;
  const std::vector<float> x;
  std::vector<float> y;
  std::vector<uint8_t> offsets;
  MaxPoolShare share{};
};

void run_pool(char** kernel_and_size) {
  Pool pool(kernel_and_size);
  const relustat::cpu::PoolPlan plan(pool.pooling, 0, sizeof(float));
  std::vector<char> scratch(plan.bytes);
  pool.share.x = pool.x.data();
  pool.share.end = plan.is_by_planes ? pool.planes : pool.planes * pool.pooling.h.output;
  pool.share.scratch = scratch.data();
  measured(pool.share);
}

void run_relu_pool(char** binning_bins_kernel_and_size) {
  Pool pool(binning_bins_kernel_and_size + 2);
  const relustat::cpu::PooledTensor pooled{pool.share, pool.planes, sizeof(float)};
  const relustat::cpu::StreamLayout layout(pooled, relustat::cpu::WindowRows(pooled),
                                           relustat::cpu::kSpan);
  std::vector<char> scratch(layout.bytes);
  run_relu(pool.x.data(), relustat::Dtype::kFloat32, binning_bins_kernel_and_size, pool.planes,
           pool.size * pool.size, false, static_cast<int64_t>(pool.x.size()), &pooled,
           scratch.data());
}

void run_unpool(char** kernel_and_size) {
  const int64_t size = std::atoll(kernel_and_size[1]), planes = planes_of(size);
  MaxUnpoolShare share{};
  share.pooling = square(std::atoll(kernel_and_size[0]), size);
  share.overlap = relustat::Overlap::kSum;
  share.planes = planes;
  share.channels = 1;
  const relustat::Pooling pooling(share.pooling);
  const auto y = normal(planes * pooling.outputs());
  std::vector<float> x(planes * size * size);
  std::vector<uint8_t> offsets(y.size());
  std::mt19937 generator(0);
  for (uint8_t& offset : offsets) offset = static_cast<uint8_t>(generator() % pooling.taps());
  std::vector<relustat::cpu::TapPosition> positions(pooling.taps());
  relustat::cpu::find_tap_positions(pooling, positions.data());
  const relustat::cpu::UnpoolPlan plan(pooling, planes, 1, share.dtype, share.overlap);
  std::vector<char> scratch(plan.bytes);
  share.y = y.data();
  share.offsets = offsets.data();
  share.x = x.data();
  share.end = plan.is_by_planes ? planes : planes * plan.slices;
  share.positions = positions.data();
  share.scratch = scratch.data();
  measured(share);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  char** const numbers = arguments + 2;
  if (what == "relu" && count == 6) {
    const auto x = normal(kElements);
    run_relu(x.data(), relustat::Dtype::kFloat32, numbers, std::atoll(numbers[2]),
             std::atoll(numbers[3]), false);
  } else if (what == "family" && count == 7) {
    const auto x = normal(kElements);
    run_relu(x.data(), relustat::Dtype::kFloat32, numbers, std::atoll(numbers[2]),
             std::atoll(numbers[3]), false, kElements, nullptr, nullptr,
             static_cast<relustat::Activation>(std::atoll(numbers[4])));
  } else if (what == "units" && count == 5) {
    const auto x = normal(kElements);
    run_relu(x.data(), relustat::Dtype::kFloat32, numbers, std::atoll(numbers[2]), 1, true);
  } else if (what == "narrow" && count == 4) {
    run_narrow(numbers);
  } else if (what == "pool" && count == 4) {
    run_pool(numbers);
  } else if (what == "relu_pool" && count == 6) {
    run_relu_pool(numbers);
  } else if (what == "unpool" && count == 4) {
    run_unpool(numbers);
  } else {
    std::fprintf(stderr, "usage: see the first lines of main.cpp\n");
    return 2;
  }
}
