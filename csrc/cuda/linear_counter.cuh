#pragma once

#include "block_histogram.cuh"
#include "make_binner.h"
#include "word.h"

namespace relustat::cuda {

// LinearBinner without branches: every element is counted where it is guessed to be. Where the
// guess is doubtful, which is rare, that is set right afterwards: an `if` around each count would
// take longer than the count.
template <class Format, int kVector, Placement kPlacement>
class LinearCounter {
 public:
  using Bits = typename Format::Bits;
  using Made = LinearOrSearchBinner<float>;
  static constexpr int kUnroll = 2;
  static constexpr bool kTogether = false;

  static __device__ Made make(const CountingReluCall& call) {
    return make_binner<float, Binning::kLinear>(call.edges, call.bins);
  }
  __device__ LinearCounter(const CountingReluCall& call, const Made& made)
      : made_(made), guesser_(made), histogram_(call) {}

  __device__ void prepare() {}
  __device__ bool is_per_unit() const { return histogram_.is_per_unit(); }
  __device__ void enter(const Strip& strip, int32_t column) { histogram_.enter(strip, column); }

  // Returns whether all are known to be numbers.
  __device__ bool count(const Vector<Format, kVector>& x) {
    uint32_t guesses[kVector];
    bool are_doubtful[kVector];
    bool is_any_doubtful = false;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      const float value = Format::value(x[v]);
      guesses[v] = guesser_.guess(value, are_doubtful[v]);
      is_any_doubtful |= are_doubtful[v];
      atomicAdd(histogram_.word(guesses[v], v), 1u);
    }
    if (!is_any_doubtful) return true;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      if (!are_doubtful[v]) continue;
      const uint32_t slot = LinearGuesser::kFirst + slot_of(x[v]);
      if (slot == guesses[v]) continue;
      atomicAdd(histogram_.word(guesses[v], v), ~0u);
      atomicAdd(histogram_.word(slot, v), 1u);
    }
    return false;
  }

  __device__ void count_at(Bits bits, const Strip& strip, int32_t place) {
    histogram_.add_at(LinearGuesser::kFirst + slot_of(bits), strip, place);
  }

  __device__ void add_to_counters(const Strip& strip) { histogram_.add_to_counters(strip); }

 private:
  __device__ uint32_t slot_of(Bits bits) const { return made_.slot(Format::value(bits)); }

  const Made& made_;
  const LinearGuesser guesser_;
  BlockHistogram<kVector, kPlacement, 0, LinearGuesser::kFirst> histogram_;
};

}  // namespace relustat::cuda
