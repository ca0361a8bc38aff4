#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "activation/checks.h"
#include "common/dtype_of.h"
#include "cpu/dispatch.h"
#include "cpu/grain.h"

namespace relustat::cpu {
namespace {

// With fewer units a thread would spend its time on making keys.
constexpr int64_t kLeastUnits = 2048;

at::Tensor activation_hash(const at::Tensor& x, int64_t salt) {
  check_activation_hash(x);
  const int64_t samples = x.size(0);
  const at::Tensor result = at::zeros({samples}, x.options().dtype(at::kLong));
  if (x.numel() == 0) return result;
  const at::Tensor dense = x.contiguous();
  ActivationHashShare whole{};
  whole.x = dense.const_data_ptr();
  whole.dtype = dtype_of(dense);
  whole.units = dense.numel() / samples;
  whole.salt = salt;
  whole.end = samples;
  whole.unit_end = whole.units;
  whole.hashes = reinterpret_cast<uint64_t*>(result.mutable_data_ptr<int64_t>());

  if (whole.units < kLeastUnits * at::get_num_threads()) {
    at::parallel_for(0, samples, grain_of(whole.units), [&](int64_t begin, int64_t end) {
      ActivationHashShare share = whole;
      share.begin = begin;
      share.end = end;
      kernels().activation_hash(share);
    });
    return result;
  }
  // Few samples may have many elements, and each key is made once.
  std::mutex mutex;
  const int64_t grain = std::max(kLeastUnits, grain_of(samples));
  at::parallel_for(0, whole.units, grain, [&](int64_t begin, int64_t end) {
    std::vector<uint64_t> hashes(samples);
    ActivationHashShare share = whole;
    share.unit_begin = begin;
    share.unit_end = end;
    share.hashes = hashes.data();
    kernels().activation_hash(share);
    const std::lock_guard lock(mutex);
    for (int64_t i = 0; i < samples; ++i) whole.hashes[i] ^= hashes[i];
  });
  return result;
}

}  // namespace

TORCH_LIBRARY_IMPL(relustat, CPU, m) { m.impl("activation_hash", activation_hash); }

}  // namespace relustat::cpu
