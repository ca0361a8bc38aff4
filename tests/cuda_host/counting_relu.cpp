#include "cuda_host.h"
//
#include "cases.h"
#include "cuda/relu/counting_relu.cuh"

using namespace relustat;
using namespace relustat::cuda;

// Buffers: x, edges, counters; the mask, the number of its positions that are counted, and blocks
// (or empty ones); y and a workspace for each stream. Without y, it is written over x.
void run_counting_relu(Case& call) {
  const auto dtype = static_cast<Dtype>(call.take());
  const auto binning = static_cast<Binning>(call.take());
  const int64_t bins = call.take();
  const UnitLayout units{call.take(), call.take(), call.take()};
  const int64_t rows = call.take();
  const int64_t calls = call.take();
  const int64_t streams = call.take();
  const CountingReluLimits limits{call.take(), call.take(), call.take(), call.take()};

  CountingReluCall kernel_call{};
  kernel_call.x = call.buffer(0);
  kernel_call.edges = static_cast<const float*>(call.buffer(1));
  kernel_call.bins = bins;
  kernel_call.counters = static_cast<Count*>(call.buffer(2));
  kernel_call.layout = {units.units, rows, slot_count(bins)};
  if (call.buffers[3].bytes > 0) {
    kernel_call.mask = static_cast<const uint8_t*>(call.buffer(3));
    kernel_call.kept = static_cast<const Count*>(call.buffer(4));
  }
  if (call.buffers[5].bytes > 0) {
    kernel_call.blocks = static_cast<const Count*>(call.buffer(5));
  }
  const bool in_place = call.buffers[6].bytes == 0;
  const auto run = [&](int64_t stream) {
    CountingReluCall mine = kernel_call;
    mine.y = in_place ? call.buffer(0) : call.buffer(6 + stream * 2);
    mine.workspace = static_cast<Count*>(call.buffer(7 + stream * 2));
    for (int64_t i = 0; i < calls; ++i) {
      with_counting_relu_kernel</*kWrites=*/true>(
          dtype, binning, units, limits, mine, [&](auto kernel, const CountingReluCall& arguments) {
            const CountingReluTiling& tiling = arguments.tiling;
            cuda_host::launch(kernel, static_cast<int>(tiling.blocks),
                              static_cast<int>(limits.threads), tiling.shared_bytes, arguments);
          });
    }
  };
  std::vector<std::thread> others;
  for (int64_t stream = 1; stream < streams; ++stream) others.emplace_back(run, stream);
  run(0);
  for (std::thread& other : others) other.join();
}
