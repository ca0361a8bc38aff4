#include "cuda/pool/validate_switches.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/as_strided.h>
#include <ATen/ops/full.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>

#include "cuda/common/launch.h"
#include "cuda/pool/check_switches.cuh"

namespace relustat::cuda {

void check_switches(const std::string& op, const at::Tensor& offsets, const PooledPlanes& pooled) {
  if (c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None) return;
  const at::Tensor result = at::full({1}, int64_t{-1}, offsets.options().dtype(at::kLong));
  // Switches of one byte or of two.
  const PoolingCall pooling_call{.dtype = {},
                                 .wide_offsets = has_wide_offsets(offsets),
                                 .pooling = pooled.numbers,
                                 .planes = pooled.planes,
                                 .channels = pooled.channels};
  const CheckSwitchesCall call{
      pooling_call, offsets.const_data_ptr(),
      reinterpret_cast<unsigned long long*>(result.mutable_data_ptr<int64_t>())};
  with_check_switches_kernel(call, launch_for_each_position);
  const int64_t position = result.item<int64_t>();
  if (position < 0) return;
  const Pooling pooling(pooled.numbers);
  const at::Tensor wrong = at::as_strided(offsets, {1}, {1}, offsets.storage_offset() + position);
  raise_for_switch(op, pooling, wrong.item().toLong(),
                   position / call.channels % pooling.outputs());
}

}  // namespace relustat::cuda
