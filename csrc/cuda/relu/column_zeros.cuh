#pragma once

#include "cuda/common/shared_memory.cuh"
#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/strip.cuh"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// Rectifies, and counts the zeros of a thread's columns: in registers, then by unit of the strip in
// shared memory, then in the workspace.
template <class Format, int kVector>
class ColumnZeros {
 public:
  using Vector = cuda::Vector<Format, kVector>;

  __device__ explicit ColumnZeros(const CountingReluCall& call) : call_(call) {}

  __device__ uint32_t* of_units() const {  // [strip_units]
    return reinterpret_cast<uint32_t*>(shared_memory() + kControlBytes) + call_.tiling.table_words;
  }

  // `are_numbers`: there is certainly no NaN.
  __device__ Vector rectify_and_count(const Vector& x, bool are_numbers) {
    Vector y;
    if (Vector::kInWord > 1 && are_numbers) {
#pragma unroll
      for (int i = 0; i < Vector::kWords; ++i) {
        y.words.of[i] = Vector::Word::rectify_and_count_numbers(x.words.of[i], zeros_[i]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < Vector::kWords; ++i) {
        y.words.of[i] = Vector::Word::rectify_and_count(x.words.of[i], zeros_[i]);
      }
    }
    return y;
  }

  static __device__ Vector rectified(const Vector& x) {
    Vector y;
#pragma unroll
    for (int i = 0; i < Vector::kWords; ++i) y.words.of[i] = Vector::Word::rectified(x.words.of[i]);
    return y;
  }

  // Adds the zeros of the thread's columns to the workspace; `column` is the first one. All threads
  // call it, and need a barrier before they count again.
  __device__ void add_to_workspace(const Strip& strip, int32_t column) {
    const CountingReluTiling& t = call_.tiling;
    int32_t first_position = 0;
    int32_t last_position = 0;
    uint32_t all_zeros = 0;
    strip.template for_each_position<kVector>(column, t, [&](int v, int32_t position) {
      first_position = v == 0 ? position : first_position;
      last_position = position;
      all_zeros += zeros_of(v);
    });
    constexpr uint32_t kAllLanes = 0xffffffffu;
    const int32_t position_of_lanes = __shfl_sync(kAllLanes, first_position, 0);
    if (__all_sync(kAllLanes,
                   first_position == position_of_lanes && last_position == position_of_lanes)) {
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) {
        all_zeros += __shfl_xor_sync(kAllLanes, all_zeros, distance);
      }
      if (threadIdx.x % 32 == 0) atomicAdd(of_units() + first_position, all_zeros);
    } else {
      strip.template for_each_position<kVector>(column, t, [&](int v, int32_t position) {
        if (zeros_of(v) > 0) atomicAdd(of_units() + position, zeros_of(v));
      });
    }
#pragma unroll
    for (int i = 0; i < Vector::kWords; ++i) zeros_[i] = 0;
    __syncthreads();
    for (int32_t position = threadIdx.x; position < strip.positions; position += blockDim.x) {
      const uint32_t zeros = of_units()[position];
      if (zeros == 0) continue;
      of_units()[position] = 0;
      add_global(call_.workspace + Workspace::kZeros + strip.unit_of(position, t), zeros);
    }
  }

 private:
  __device__ uint32_t zeros_of(int v) const {
    return Vector::Word::count(zeros_[v / Vector::kInWord], v % Vector::kInWord);
  }

  const CountingReluCall& call_;
  uint32_t zeros_[Vector::kWords] = {};
};

}  // namespace relustat::cuda
