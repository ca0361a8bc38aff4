#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <mutex>
#include <utility>

namespace relustat::cuda {

// So many 64-bit words of 0, or more, for one kernel on the current stream, which leaves them 0.
// Kernels of one stream run one after the other, so each stream keeps its words. A kernel that is
// captured into a graph may run beside any other, and has its own: cleared at each replay.
class WorkspaceWords {
 public:
  explicit WorkspaceWords(int64_t words) {
    const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
    if (c10::cuda::currentStreamCaptureStatusMayInitCtx() == c10::cuda::CaptureStatus::None) {
      words_ = kept(words, stream);
      return;
    }
    captured_ = at::empty({words}, at::TensorOptions(at::kLong).device(stream.device()));
    words_ = captured_.mutable_data_ptr();
    C10_CUDA_CHECK(cudaMemsetAsync(words_, 0, captured_.nbytes(), stream));
  }

  // Until this is gone; a kernel that was launched by then may go on.
  void* words() const { return words_; }

 private:
  struct Kept {
    void* words = nullptr;
    int64_t count = 0;
  };

  // Of the device itself: PyTorch's allocator may be told to take what it gives for a graph's own.
  // Never given back, since kernels may still run on it; it at least doubles, so that is no more
  // than what is in use.
  static void* kept(int64_t words, c10::cuda::CUDAStream stream) {
    static std::mutex mutex;
    static std::map<std::pair<int, unsigned long long>, Kept> of_streams;
    // Handles are used again for other streams; ids are not.
    unsigned long long id = 0;
    C10_CUDA_CHECK(cudaStreamGetId(stream, &id));
    const std::lock_guard lock(mutex);
    Kept& mine = of_streams[{stream.device_index(), id}];
    if (mine.count < words) {
      constexpr int64_t kLeast = 4096;
      const int64_t count = words > kLeast ? 2 * words : kLeast;
      // Another thread may capture a graph meanwhile.
      const c10::cuda::CUDAStreamCaptureModeGuard guard(cudaStreamCaptureModeRelaxed);
      void* fresh = nullptr;
      C10_CUDA_CHECK(cudaMalloc(&fresh, count * sizeof(int64_t)));
      C10_CUDA_CHECK(cudaMemsetAsync(fresh, 0, count * sizeof(int64_t), stream));
      mine = {fresh, count};
    }
    return mine.words;
  }

  at::Tensor captured_;
  void* words_;
};

}  // namespace relustat::cuda
