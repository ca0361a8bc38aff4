#include "cuda_host.h"
//
#include "cuda/pool/check_switches.cuh"
#include "cuda/pool/max_unpool.cuh"
#include "cuda/pool/max_unpool_backward.cuh"
#include "pooling_cases.h"

using namespace relustat;
using namespace relustat::cuda;

namespace {

const auto launch = [](auto kernel, const auto& arguments) {
  cuda_host::launch(kernel, kBlocks, kBlockThreads, 0, arguments);
};

}  // namespace

// Buffers: y, offsets, x.
void run_max_unpool(Case& call) {
  MaxUnpoolCall kernel_call{};
  kernel_call.y = call.buffer(0);
  kernel_call.offsets = call.buffer(1);
  kernel_call.x = call.buffer(2);
  kernel_call.dtype = static_cast<Dtype>(call.take());
  kernel_call.wide_offsets = call.take() != 0;
  kernel_call.overlap = static_cast<Overlap>(call.take());
  take_pooling(call, kernel_call);
  with_max_unpool_kernel(kernel_call, launch);
}

// Buffers: gradient, y, offsets, y_gradient.
void run_max_unpool_backward(Case& call) {
  MaxUnpoolBackwardCall kernel_call{};
  kernel_call.gradient = call.buffer(0);
  kernel_call.y = call.buffer(1);
  kernel_call.offsets = call.buffer(2);
  kernel_call.y_gradient = call.buffer(3);
  kernel_call.dtype = static_cast<Dtype>(call.take());
  kernel_call.wide_offsets = call.take() != 0;
  kernel_call.overlap = static_cast<Overlap>(call.take());
  take_pooling(call, kernel_call);
  with_max_unpool_backward_kernel(kernel_call, launch);
}

// Buffers: offsets, result.
void run_check_switches(Case& call) {
  CheckSwitchesCall kernel_call{};
  kernel_call.offsets = call.buffer(0);
  kernel_call.result = static_cast<unsigned long long*>(call.buffer(1));
  kernel_call.wide_offsets = call.take() != 0;
  take_pooling(call, kernel_call);
  with_check_switches_kernel(kernel_call, launch);
}
