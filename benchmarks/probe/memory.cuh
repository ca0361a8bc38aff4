#pragma once

#include <vector>

#include "probe.h"

namespace probe {

// An array on the GPU.
template <class T>
class Array {
 public:
  explicit Array(int64_t size) : size_(size) {
    PROBE_CHECK(cudaMalloc(&data_, static_cast<size_t>(bytes())));
  }
  explicit Array(const std::vector<T>& values) : Array(static_cast<int64_t>(values.size())) {
    PROBE_CHECK(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { cudaFree(data_); }

  T* data() const { return data_; }
  int64_t size() const { return size_; }
  int64_t bytes() const { return size_ * static_cast<int64_t>(sizeof(T)); }
  void fill_bytes(int byte) const { PROBE_CHECK(cudaMemset(data_, byte, bytes())); }
  std::vector<T> values() const {
    std::vector<T> values(size_);
    PROBE_CHECK(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  int64_t size_;
};

constexpr int kBlocks = 1024;
constexpr int kThreads = 256;

template <class Visit>
__device__ void for_each(int64_t n, const Visit& visit) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n; i += step) visit(i);
}

}  // namespace probe
