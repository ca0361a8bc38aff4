#include "cuda_host.h"
//
#include "cases.h"
#include "common/with_format.h"
#include "cuda/relu/counting_activation.cuh"

using namespace relustat;
using namespace relustat::cuda;

// Buffers: x, edges, counters; the mask, the number of its positions that are counted, and blocks
// (or empty ones); the two numbers, the slopes and the output that is looked at (or empty ones); y
// and a workspace. Without y, it is written over x, or x is only counted.
void run_counting_activation(Case& call) {
  const auto dtype = static_cast<Dtype>(call.take());
  const auto binning = static_cast<Binning>(call.take());
  const int64_t bins = call.take();
  const UnitLayout units{call.take(), call.take(), call.take()};
  const int64_t rows = call.take();
  const int64_t calls = call.take();
  const auto activation = static_cast<Activation>(call.take());
  const bool writes = call.take() != 0;
  const CountingReluLimits limits{call.take(), call.take(), call.take(), call.take()};

  CountingReluCall relu{};
  relu.x = call.buffer(0);
  relu.edges = static_cast<const float*>(call.buffer(1));
  relu.bins = bins;
  relu.counters = static_cast<Count*>(call.buffer(2));
  relu.layout = {units.units, rows, slot_count(bins), saturates(activation)};
  if (call.buffers[3].bytes > 0) {
    relu.mask = static_cast<const uint8_t*>(call.buffer(3));
    relu.kept = static_cast<const Count*>(call.buffer(4));
  }
  if (call.buffers[5].bytes > 0) relu.blocks = static_cast<const Count*>(call.buffer(5));
  const auto* const numbers = static_cast<const double*>(call.buffer(6));
  if (writes) relu.y = call.buffer(call.buffers[9].bytes > 0 ? 9 : 0);
  relu.workspace = static_cast<Count*>(call.buffer(10));

  with_format(dtype, [&]<class Format>() {
    using Bits = typename Format::Bits;
    CountingActivationCall<Format> family(relu, activation, {numbers[0], numbers[1]});
    const int64_t slopes = call.buffers[7].bytes / static_cast<int64_t>(sizeof(Bits));
    if (slopes > 0) family.slopes = static_cast<const Bits*>(call.buffer(7));
    family.has_slope_per_unit = slopes > 1;
    if (call.buffers[8].bytes > 0) family.observed = static_cast<const Bits*>(call.buffer(8));
    for (int64_t i = 0; i < calls; ++i) {
      with_counting_activation_kernel_of<Format>(
          binning, units, limits, family, [&](auto kernel, const auto& arguments) {
            cuda_host::launch(kernel, static_cast<int>(arguments.tiling.blocks),
                              static_cast<int>(limits.threads), arguments.tiling.shared_bytes,
                              arguments);
          });
    }
  });
}
