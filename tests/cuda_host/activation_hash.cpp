#include "cuda_host.h"
//
#include "cases.h"
#include "cuda/activation/activation_hash.cuh"

using namespace relustat;
using namespace relustat::cuda;

// Buffers: x, hashes.
void run_activation_hash(Case& call) {
  const auto dtype = static_cast<Dtype>(call.take());
  ActivationHashCall kernel_call{};
  kernel_call.x = call.buffer(0);
  kernel_call.hashes = static_cast<unsigned long long*>(call.buffer(1));
  kernel_call.samples = call.take();
  kernel_call.units = call.take();
  kernel_call.seed = activation_seed(call.take());
  const auto blocks = static_cast<int>(call.take());
  const auto threads = static_cast<int>(call.take());
  with_activation_hash_kernel(dtype, [&](auto kernel) {
    cuda_host::launch(kernel, blocks, threads, ActivationHashCall::kSharedBytes, kernel_call);
  });
}
