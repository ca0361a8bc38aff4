#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/relu/counting_activation_call.h"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// An input, and what is looked at to see whether it is inactive.
template <class T>
struct Observed {
  T input;
  T looked_at;
};

template <class T>
RELUSTAT_HOST_DEVICE const T& looked_at(const T& input) {
  return input;
}
template <class T>
RELUSTAT_HOST_DEVICE const T& looked_at(const Observed<T>& loaded) {
  return loaded.looked_at;
}

// How a block reads the elements of an activation that is computed elsewhere, and its outputs if
// these are what is looked at. It writes nothing.
template <class Format, int kVector>
class ObservedAccess {
 public:
  using Bits = typename Format::Bits;
  using Vector = cuda::Vector<Format, kVector>;
  using Loaded = Observed<Vector>;
  using Single = Observed<Bits>;
  static constexpr bool kHasSingles = true;
  static constexpr bool kWrites = false;

  __device__ explicit ObservedAccess(const CountingActivationCall<Format>& call)
      : x_(static_cast<const Bits*>(call.x)), observed_(call.observed) {}

  class Cursor {
   public:
    __device__ explicit Cursor(int64_t element) : element_(element) {}
    __device__ void advance(int64_t elements) { element_ += elements; }

   private:
    friend ObservedAccess;
    int64_t element_;
  };

  __device__ Cursor at(int64_t element) const { return Cursor(element); }
  __device__ int64_t element(const Cursor& at) const { return at.element_; }

  static __device__ const Vector& input(const Loaded& loaded) { return loaded.input; }
  static __device__ Bits input(const Single& single) { return single.input; }
  // What a mask leaves out is counted as inactive, in slot 0. See close_units().
  __device__ void hide(Loaded& loaded, int v) const {
    loaded.input.set(v, hidden().input);
    loaded.looked_at.set(v, hidden().looked_at);
  }
  __device__ Single hidden() const {
    constexpr Bits kLowest = Format::kSign | Format::kInfinity;
    return {kLowest, observed_ == nullptr ? kLowest : Bits{0}};
  }

  __device__ void prefetch(const Cursor& at) const { cuda::prefetch(x_ + at.element_); }
  __device__ Loaded load(const Cursor& at, int64_t ahead) const {
    const int64_t element = at.element_ + ahead;
    Loaded loaded;
    loaded.input = *reinterpret_cast<const Vector*>(x_ + element);
    if (observed_ == nullptr) {
      loaded.looked_at = loaded.input;
    } else {
      loaded.looked_at = *reinterpret_cast<const Vector*>(observed_ + element);
    }
    return loaded;
  }
  __device__ void store(const Cursor&, int64_t, const Vector&) const {}
  __device__ Single load_single(int64_t element) const {
    const Bits bits = x_[element];
    return {bits, observed_ == nullptr ? bits : observed_[element]};
  }
  __device__ void store_single(int64_t, Bits) const {}

 private:
  const Bits* const x_;
  const Bits* const observed_;
};

}  // namespace relustat::cuda
