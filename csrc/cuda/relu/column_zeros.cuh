#pragma once

#include "cuda/common/shared_memory.cuh"
#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/strip.cuh"
#include "cuda/relu/unit_sums.cuh"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// Rectifies, and counts the zeros of a thread's columns: in registers, then by unit of the strip in
// shared memory, then in the workspace. family_columns.cuh has the same for other activations.
template <class Format, int kVector>
class ColumnZeros {
 public:
  using Bits = typename Format::Bits;
  using Vector = cuda::Vector<Format, kVector>;
  // Whether a kernel for masks is also run without one.
  static constexpr bool kMayLackMask = false;
  static constexpr int kMostInFlight = 4;

  __device__ explicit ColumnZeros(const CountingReluCall& call) : call_(call) {}

  // `are_numbers`: there is certainly no NaN. The place of x, a strip and the first column there,
  // makes no difference.
  __device__ Vector activate_and_count(const Vector& x, bool are_numbers, const Strip&, int32_t) {
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

  __device__ Vector activated(const Vector& x, const Strip&, int32_t) const {
    Vector y;
#pragma unroll
    for (int i = 0; i < Vector::kWords; ++i) y.words.of[i] = Vector::Word::rectified(x.words.of[i]);
    return y;
  }

  // The same of an element of a position that is none of the thread's columns.
  __device__ void count_at(Bits bits, const Strip&, int32_t position) const {
    if (One::rectified(bits) == 0) atomicAdd(of_units() + position, 1u);
  }
  __device__ Bits activated_at(Bits bits, const Strip&, int32_t) const {
    return One::rectified(bits);
  }

  // Adds the zeros of the thread's columns to the workspace; `column` is the first one. All threads
  // call it, and need a barrier before they count again.
  __device__ void add_to_workspace(const Strip& strip, int32_t column) {
    const CountingReluTiling& t = call_.tiling;
    add_columns_to_units<kVector>(strip, column, t, of_units(), [&](int v) {
      return Vector::Word::count(zeros_[v / Vector::kInWord], v % Vector::kInWord);
    });
#pragma unroll
    for (int i = 0; i < Vector::kWords; ++i) zeros_[i] = 0;
    __syncthreads();
    move_units_to_workspace(strip, t, of_units(), call_.workspace + Workspace::kZeros);
  }

  // The last block closes what no other activation has: nothing.
  __device__ void close() const {}

 private:
  using One = cuda::Word<Format, 1>;

  __device__ uint32_t* of_units() const {  // [strip_units]
    return reinterpret_cast<uint32_t*>(shared_memory() + kControlBytes) + call_.tiling.table_words;
  }

  const CountingReluCall& call_;
  uint32_t zeros_[Vector::kWords] = {};
};

}  // namespace relustat::cuda
