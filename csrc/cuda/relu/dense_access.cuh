#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// How a block reads elements and writes outputs: x and y in the order of memory. kWritesOutput:
// false if elements are only counted, and there is no y.
template <class Format, int kVector, bool kWritesOutput>
class DenseAccess {
 public:
  using Bits = typename Format::Bits;
  using Vector = cuda::Vector<Format, kVector>;
  // Whether there are elements besides those in whole vectors.
  static constexpr bool kHasSingles = true;
  static constexpr bool kWrites = kWritesOutput;
  // What is loaded of a vector, and of an element besides them.
  using Loaded = Vector;
  using Single = Bits;

  __device__ explicit DenseAccess(const CountingReluCall& call)
      : all_x_(static_cast<const Bits*>(call.x)), all_y_(static_cast<Bits*>(call.y)) {}

  class Cursor {
   public:
    __device__ Cursor(const Bits* x, Bits* y) : x_(x), y_(y) {}
    __device__ void advance(int64_t elements) {
      x_ += elements;
      y_ += elements;
    }

   private:
    friend DenseAccess;
    const Bits* x_;
    Bits* y_;
  };

  __device__ Cursor at(int64_t element) const { return {all_x_ + element, all_y_ + element}; }
  __device__ int64_t element(const Cursor& at) const { return at.x_ - all_x_; }

  // What is counted into bins.
  static __device__ const Loaded& input(const Loaded& loaded) { return loaded; }
  static __device__ Bits input(Single single) { return single; }
  // What a mask leaves out is counted as -inf: a zero, in slot 0, and no NaN. See close_units().
  static __device__ void hide(Loaded& loaded, int v) { loaded.set(v, hidden()); }
  static __device__ Single hidden() { return Format::kSign | Format::kInfinity; }

  // ahead: elements behind the cursor.
  __device__ void prefetch(const Cursor& at) const { cuda::prefetch(at.x_); }
  __device__ Vector load(const Cursor& at, int64_t ahead) const {
    return *reinterpret_cast<const Vector*>(at.x_ + ahead);
  }
  __device__ void store(const Cursor& at, int64_t ahead, const Vector& y) const {
    if constexpr (kWrites) *reinterpret_cast<Vector*>(at.y_ + ahead) = y;
  }
  __device__ Bits load_single(int64_t element) const { return all_x_[element]; }
  __device__ void store_single(int64_t element, Bits bits) const {
    if constexpr (kWrites) all_y_[element] = bits;
  }

 private:
  const Bits* const all_x_;
  Bits* const all_y_;
};

}  // namespace relustat::cuda
