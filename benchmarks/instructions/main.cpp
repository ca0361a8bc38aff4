// Calls one kernel once, for valgrind to count its instructions: those of measured(), no others.
//     main relu BINNING BINS UNITS INNER | pool KERNEL
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
#include "cpu/kernels/relu/counting_relu_body.h"

namespace {

using relustat::cpu::CountingReluShare;
using relustat::cpu::MaxPoolShare;

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

void run_relu(char** numbers) {
  const auto binning = static_cast<relustat::Binning>(std::atoi(numbers[0]));
  const auto edges = edges_of(binning, std::atoi(numbers[1]));
  const auto elements = int64_t{1} << 20;
  const auto x = normal(elements);
  std::vector<float> y(elements);
  CountingReluShare share{};
  share.x = x.data();
  share.y = y.data();
  share.end = elements;
  share.units = std::atoll(numbers[2]);
  share.inner = std::atoll(numbers[3]);
  share.edges = edges.data();
  share.bins = edges.empty() ? 0 : static_cast<int64_t>(edges.size()) - 1;
  share.binning = static_cast<int64_t>(binning);
  std::vector<int64_t> zeros(share.units), histogram(relustat::slot_count(share.bins));
  std::vector<uint32_t> scratch(
      relustat::cpu::make_tiling(share.units, share.inner, share.bins).words);
  share.zeros = zeros.data();
  share.histogram = histogram.data();
  share.scratch = scratch.data();
  measured(share);
}

void run_pool(char** numbers) {
  const int64_t kernel = std::atoll(numbers[0]), size = 112, planes = 16;
  const int64_t windows = (size - kernel) / 2 + 1;
  const auto x = normal(planes * size * size);
  std::vector<float> y(planes * windows * windows);
  std::vector<uint8_t> offsets(y.size());
  std::vector<relustat::cpu::TapRow> tap_rows(kernel);
  MaxPoolShare share{};
  share.x = x.data();
  share.y = y.data();
  share.offsets = offsets.data();
  share.pooling.d = {
      .input = 1, .output = 1, .kernel = 1, .stride = 1, .padding = 0, .dilation = 1};
  share.pooling.h = {
      .input = size, .output = windows, .kernel = kernel, .stride = 2, .padding = 0, .dilation = 1};
  share.pooling.w = share.pooling.h;
  share.end = planes * windows;
  share.tap_rows = tap_rows.data();
  measured(share);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 6 && std::string(arguments[1]) == "relu") {
    run_relu(arguments + 2);
  } else if (count == 3 && std::string(arguments[1]) == "pool") {
    run_pool(arguments + 2);
  } else {
    std::fprintf(stderr, "usage: main relu BINNING BINS UNITS INNER | pool KERNEL\n");
    return 2;
  }
}
