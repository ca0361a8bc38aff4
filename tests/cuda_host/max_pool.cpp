#include "cuda_host.h"
//
#include "cuda/pool/max_pool.cuh"
#include "pooling_cases.h"

using namespace relustat;
using namespace relustat::cuda;

// Buffers: x, y, offsets.
void run_max_pool(Case& call) {
  MaxPoolCall kernel_call{};
  kernel_call.x = call.buffer(0);
  kernel_call.y = call.buffer(1);
  kernel_call.offsets = call.buffer(2);
  kernel_call.dtype = static_cast<Dtype>(call.take());
  kernel_call.wide_offsets = call.take() != 0;
  kernel_call.rectifies = call.take() != 0;
  take_pooling(call, kernel_call);
  with_max_pool_kernel(kernel_call, [](auto kernel, const auto& arguments) {
    cuda_host::launch(kernel, kBlocks, kBlockThreads, 0, arguments);
  });
}
