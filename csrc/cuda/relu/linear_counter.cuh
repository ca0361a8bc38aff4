#pragma once

#include "cuda/relu/block_histogram.cuh"
#include "cuda/relu/linear_guesser.h"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// LinearBinner without branches: every element is counted at its guess. If a guess in a vector is
// doubtful, which is rare, the counts are corrected afterwards. An `if` around each count would
// take longer than the count.
template <class Format, int kVector, Placement kPlacement>
class LinearCounter {
 public:
  using Bits = typename Format::Bits;
  struct Made {
    LinearOrSearchBinner<float> binner;
    LinearGuesser exact, careful;
  };
  static constexpr int kUnroll = kPlacement == Placement::kPerUnit ? in_flight(2, sizeof(Bits)) : 2;
  static constexpr bool kTogether = false;

  static __device__ Made make(const CountingReluCall& call) {
    const auto binner = make_binner<float, Binning::kLinear>(call.edges, call.bins);
    return {binner, LinearGuesser::exact(binner), LinearGuesser::careful(binner)};
  }
  __device__ LinearCounter(const CountingReluCall& call, const Made& made)
      : made_(made), slot_bytes_(call.tiling.slot_bytes), histogram_(call) {}

  __device__ void prepare() {
    const LinearBinner<float>& linear = made_.binner.linear;
    bool is_exact = made_.binner.guesses;
    for (int32_t edge = threadIdx.x; is_exact && edge <= linear.bins; edge += blockDim.x) {
      is_exact = made_.exact.template is_right_beside<Format>(linear.edges, edge);
    }
    guesser_ = __syncthreads_and(is_exact) ? made_.exact : made_.careful;
  }
  __device__ bool is_per_unit() const { return histogram_.is_per_unit(); }
  __device__ void enter(const Strip& strip, int32_t column) { histogram_.enter(strip, column); }

  // Returns whether no element is a NaN.
  __device__ bool count(const Vector<Format, kVector>& x) {
    float least_far = 1;
    float sum = 0;  // NaN if an element is NaN
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      const float value = x.value(v);
      sum += value;
      float how_far;
      add_at(guesser_.guess(value, how_far), v, 1);
      least_far = fminf(least_far, how_far);
    }
    if (least_far >= guesser_.doubtful && sum == sum) return true;
    set_right(x);
    return false;
  }

  __device__ void count_at(Bits bits, const Strip& strip, int32_t position) {
    histogram_.add_at(LinearGuesser::kFirst + made_.binner.slot(Format::value(bits)), strip,
                      position);
  }

  __device__ void add_to_counters(const Strip& strip) { histogram_.add_to_counters(strip); }

 private:
  __device__ void add_at(uint32_t slot, int v, uint32_t n) const {
    histogram_.add_at_offset(slot * slot_bytes_, v, n);
  }

  __device__ void set_right(const Vector<Format, kVector>& x) {
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      // Keeping all guesses until here would take too many registers.
      const float value = bit_cast<float>(computed_anew(bit_cast<uint32_t>(x.value(v))));
      float how_far;
      const uint32_t guess = guesser_.guess(value, how_far);
      if (how_far >= guesser_.doubtful && value == value) continue;
      const uint32_t slot = LinearGuesser::kFirst + made_.binner.slot(value);
      if (slot == guess) continue;
      add_at(guess, v, ~0u);
      add_at(slot, v, 1);
    }
  }

  const Made& made_;
  const uint32_t slot_bytes_;
  LinearGuesser guesser_;
  BlockHistogram<kVector, kPlacement, 0, LinearGuesser::kFirst> histogram_;
};

}  // namespace relustat::cuda
