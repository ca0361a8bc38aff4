#pragma once

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

// 64-bit words for kernels that leave them 0. Kernels of one stream run one after the other and
// share their words. So do kernels of one stream that are captured into one graph.

namespace relustat::cuda {

struct Words {
  int device = -1;
  void* first = nullptr;
  int64_t count = 0;
};

// More words than asked for, not cleared. They come from the device itself, because PyTorch's
// allocator may give memory that belongs to a graph.
inline Words allocate_words(int device, int64_t asked) {
  constexpr int64_t kLeast = 4096;
  const int64_t count = std::max(2 * asked, kLeast);
  const auto bytes = static_cast<size_t>(count) * sizeof(int64_t);
  // A graph may be captured at the same time.
  const c10::cuda::CUDAStreamCaptureModeGuard guard(cudaStreamCaptureModeRelaxed);
  void* first = nullptr;
  cudaError_t error = cudaMalloc(&first, bytes);
  if (error == cudaErrorMemoryAllocation) {
    // PyTorch may hold all memory in its cache.
    cudaGetLastError();
    c10::cuda::CUDACachingAllocator::emptyCache();
    error = cudaMalloc(&first, bytes);
  }
  C10_CUDA_CHECK(error);
  return {device, first, count};
}

// Words of destroyed graphs, for new graphs.
class ReturnedWords {
 public:
  Words take_or_allocate(int device, int64_t asked) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(words_.begin(), words_.end(), [&](const Words& words) {
        return words.device == device && words.count >= asked;
      });
      if (found != words_.end()) {
        const Words words = *found;
        words_.erase(found);
        return words;
      }
    }
    return allocate_words(device, asked);
  }

  // The graph returns them when it is destroyed.
  void lend(cudaGraph_t graph, const Words& words) {
    cudaUserObject_t object;
    C10_CUDA_CHECK(cudaUserObjectCreate(&object, new Words(words), give_back, 1,
                                        cudaUserObjectNoDestructorSync));
    C10_CUDA_CHECK(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove));
  }

  // Never destroyed, because a graph may be destroyed at the very end.
  static ReturnedWords& instance() {
    static auto* const returned = new ReturnedWords;
    return *returned;
  }

 private:
  // Must not call CUDA.
  static void CUDART_CB give_back(void* lent) {
    const auto* const words = static_cast<const Words*>(lent);
    {
      ReturnedWords& returned = instance();
      const std::lock_guard lock(returned.mutex_);
      returned.words_.push_back(*words);
    }
    delete words;
  }

  std::mutex mutex_;
  std::vector<Words> words_;
};

// At least this number of words, for the next kernel on the current stream.
inline void* workspace_words(int64_t asked) {
  // The words of a stream, and those of its last capture.
  struct Kept {
    Words eager;
    Words captured;
    unsigned long long capture = 0;
  };
  static std::mutex mutex;
  static std::map<std::pair<int, unsigned long long>, Kept> of_streams;
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  const int device = stream.device_index();
  // Handles are reused for other streams; ids are not.
  unsigned long long id = 0;
  C10_CUDA_CHECK(cudaStreamGetId(stream, &id));
  cudaStreamCaptureStatus status;
  unsigned long long capture = 0;
  cudaGraph_t graph = nullptr;
  C10_CUDA_CHECK(cudaStreamGetCaptureInfo(stream, &status, &capture, &graph));

  const std::lock_guard lock(mutex);
  Kept& kept = of_streams[{device, id}];
  if (status == cudaStreamCaptureStatusNone) {
    if (kept.eager.count < asked) {
      // The smaller block is not freed, because kernels may use it. Sizes double, so that all
      // smaller blocks together are not larger than the last one.
      kept.eager = allocate_words(device, asked);
      C10_CUDA_CHECK(
          cudaMemsetAsync(kept.eager.first, 0, kept.eager.count * sizeof(int64_t), stream));
    }
    return kept.eager.first;
  }
  if (kept.capture != capture || kept.captured.count < asked) {
    kept.captured = ReturnedWords::instance().take_or_allocate(device, asked);
    kept.capture = capture;
    ReturnedWords::instance().lend(graph, kept.captured);
    // At each replay: an interrupted one may have left any numbers.
    C10_CUDA_CHECK(
        cudaMemsetAsync(kept.captured.first, 0, kept.captured.count * sizeof(int64_t), stream));
  }
  return kept.captured.first;
}

}  // namespace relustat::cuda
