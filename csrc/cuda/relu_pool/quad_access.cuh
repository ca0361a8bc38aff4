#pragma once

#include "cuda/pool/float_ranking.cuh"
#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// Windows of 2 x 2 side by side, over planes of even sizes: elements are numbered window by window,
// [planes, windows, 2, 2], so a vector holds whole windows, and only their maxima are written. A
// unit has the same elements as in the order of memory.
template <class Format, int kVector>
class QuadAccess {
 public:
  using Bits = typename Format::Bits;
  using Vector = cuda::Vector<Format, kVector>;
  static constexpr bool kHasSingles = false;
  static constexpr bool kWrites = true;
  using Loaded = Vector;
  using Single = Bits;

  __device__ explicit QuadAccess(const CountingReluCall& call) : call_(call) {}

  class Cursor {
   public:
    __device__ explicit Cursor(int32_t window) : window_(window) {}
    __device__ void advance(int64_t elements) { window_ += static_cast<int32_t>(elements / 4); }

   private:
    friend QuadAccess;
    int32_t window_;
  };

  __device__ Cursor at(int64_t element) const { return Cursor(static_cast<int32_t>(element / 4)); }

  static __device__ const Loaded& input(const Loaded& loaded) { return loaded; }
  __device__ void prefetch(const Cursor& at) const { cuda::prefetch(upper_row(at.window_)); }
  __device__ Vector load(const Cursor& at, int64_t ahead) const {
    const Row* const upper = upper_row(at.window_ + static_cast<int32_t>(ahead / 4));
    const Row rows[] = {upper[0], upper[call_.outputs_in_row.divisor / kWindows]};
    Vector x;
#pragma unroll
    for (int i = 0; i < Vector::kWords; ++i) {
      x.words.of[i] = rows[i / kRowWords].of[i % kRowWords];
    }
    return x;
  }
  __device__ void store(const Cursor& at, int64_t ahead, const Vector& rectified) const {
    Pack<Bits, kWindows> maxima;
    Pack<uint8_t, kWindows> offsets;
#pragma unroll
    for (int window = 0; window < kWindows; ++window) {
      LargestFloat<Format> largest;
      largest.begin(0, 0);
#pragma unroll
      for (int tap = 0; tap < 4; ++tap) {
        const int v = tap / 2 * (kVector / 2) + 2 * window + tap % 2;
        largest.offer(rectified[v], static_cast<Bits>(tap));
      }
      maxima.of[window] = largest.bits;
      offsets.of[window] = static_cast<uint8_t>(largest.position);
    }
    const int64_t pack = (at.window_ + static_cast<int32_t>(ahead / 4)) / kWindows;
    static_cast<Pack<Bits, kWindows>*>(call_.y)[pack] = maxima;
    reinterpret_cast<Pack<uint8_t, kWindows>*>(call_.offsets)[pack] = offsets;
  }

 private:
  static constexpr int kWindows = kVector / 4;
  static constexpr int kRowWords = Vector::kWords / 2;
  using Row = Pack<typename Vector::Word::Bits, kRowWords>;

  // The upper row of a window, whose row of windows has two rows of x. A row of x has twice as many
  // elements as there are windows in a row.
  __device__ const Row* upper_row(int32_t window) const {
    const Divider<int32_t>& in_row = call_.outputs_in_row;
    const int64_t row = in_row.quotient(window);
    return static_cast<const Row*>(call_.x) + (window + row * in_row.divisor) / kWindows;
  }

  const CountingReluCall& call_;
};

}  // namespace relustat::cuda
