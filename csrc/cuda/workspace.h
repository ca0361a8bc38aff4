#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <mutex>
#include <utility>

namespace relustat::cuda {

// So many int64 words of 0, or more, for one kernel on the current stream, which leaves them 0.
// Kernels of one stream run one after the other, so each stream keeps its words. A kernel that is
// captured into a graph may run beside any other, and has its own: cleared at each replay.
inline at::Tensor workspace(int64_t words, c10::Device device) {
  const auto options = at::TensorOptions(at::kLong).device(device);
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  if (c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None) {
    at::Tensor captured = at::empty({words}, options);
    C10_CUDA_CHECK(cudaMemsetAsync(captured.mutable_data_ptr(), 0, captured.nbytes(), stream));
    return captured;
  }
  using StreamKey = std::pair<c10::DeviceIndex, c10::StreamId>;
  static std::mutex mutex;
  // Never destroyed: when the process ends, PyTorch's allocator may end first.
  static auto& kept = *new std::map<StreamKey, at::Tensor>;
  const std::lock_guard lock(mutex);
  at::Tensor& mine = kept[{stream.device_index(), stream.id()}];
  if (!mine.defined() || mine.numel() < words) {
    constexpr int64_t kLeast = 4096;
    mine = at::zeros({words > kLeast ? 2 * words : kLeast}, options);
  }
  return mine;
}

}  // namespace relustat::cuda
