#include "cuda_host.h"
//
#include "cuda/pool/max_pool.cuh"
#include "cuda/relu_pool/relu_max_pool.cuh"
#include "pooling_cases.h"

using namespace relustat;
using namespace relustat::cuda;

// Buffers: x, edges, counters, y, offsets, a workspace, and whether one kernel did all.
void run_relu_max_pool(Case& call) {
  const auto dtype = static_cast<Dtype>(call.take());
  const auto binning = static_cast<Binning>(call.take());
  const int64_t bins = call.take();
  const UnitLayout units{call.take(), call.take(), call.take()};
  const int64_t rows = call.take();
  const CountingReluLimits limits{call.take(), call.take(), call.take(), call.take()};

  CountingReluCall relu{};
  relu.x = call.buffer(0);
  relu.edges = static_cast<const float*>(call.buffer(1));
  relu.bins = bins;
  relu.counters = static_cast<Count*>(call.buffer(2));
  relu.layout = {units.units, rows, slot_count(bins)};
  relu.workspace = static_cast<Count*>(call.buffer(5));

  MaxPoolCall pool{};
  pool.x = call.buffer(0);
  pool.y = call.buffer(3);
  pool.offsets = call.buffer(4);
  pool.rectifies = true;
  pool.dtype = dtype;
  pool.wide_offsets = call.take() != 0;
  take_pooling(call, pool);

  const auto launch = [&](auto kernel, const CountingReluCall& arguments) {
    const CountingReluTiling& tiling = arguments.tiling;
    cuda_host::launch(kernel, static_cast<int>(tiling.blocks), static_cast<int>(limits.threads),
                      tiling.shared_bytes, arguments);
  };
  bool is_pooled = false;
  with_format(dtype, [&]<class Format>() {
    is_pooled = with_relu_pool_kernel<Format>(binning, units, limits, relu, pool, launch);
  });
  *static_cast<int64_t*>(call.buffer(6)) = is_pooled ? 1 : 0;
  if (is_pooled) return;
  with_max_pool_kernel(pool, [](auto kernel, const auto& arguments) {
    cuda_host::launch(kernel, kBlocks, kBlockThreads, 0, arguments);
  });
}
