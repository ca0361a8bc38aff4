#include "cuda/activation/activation_hash.cuh"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>

#include "activation/checks.h"
#include "common/dtype_of.h"
#include "cuda/common/launch.h"

namespace relustat::cuda {
namespace {

at::Tensor activation_hash(const at::Tensor& x, int64_t salt) {
  check_activation_hash(x);
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t samples = x.size(0);
  const at::Tensor result = at::zeros({samples}, x.options().dtype(at::kLong));
  if (x.numel() == 0) return result;
  const at::Tensor dense = x.contiguous();
  const ActivationHashCall call{
      .x = dense.const_data_ptr(),
      .hashes = reinterpret_cast<unsigned long long*>(result.mutable_data_ptr<int64_t>()),
      .samples = samples,
      .units = dense.numel() / samples,
      .seed = activation_seed(salt)};
  // If the grid has fewer threads, each takes several.
  constexpr int64_t kMostBlocks = std::numeric_limits<int32_t>::max();
  with_activation_hash_kernel(dtype_of(dense), [&](auto kernel) {
    launch(kernel, std::min(call.tiles(), kMostBlocks), kThreads, call.kSharedBytes, call);
  });
  return result;
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CUDA, m) { m.impl("activation_hash", activation_hash); }

}  // namespace relustat::cuda
