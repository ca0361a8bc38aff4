#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/relu/make_binner.h"
#include "cuda/relu/neighbours.h"

namespace relustat::cuda {

// The guess of LinearBinner in as few instructions as possible. The numbers of slots begin at the
// bits of 2^23, so an addition gives the floor of a float.
//
// Careful guesses are doubtful near an edge. Exact guesses are not: they grow with x, so they are
// right everywhere if they are right for the two numbers next to each edge. Most edges in use pass
// that test. It matters, because 16-bit numbers often are an edge.
struct LinearGuesser {
  static constexpr uint32_t kFirst = 0x4b000000u;

  float scale, offset, least, most;
  float doubtful;  // a guess with a smaller fraction may be wrong
  float special;   // a number whose guess is right where others are doubtful, or the reverse
  float far;       // the fraction that it is given

  static RELUSTAT_HOST_DEVICE LinearGuesser exact(const LinearOrSearchBinner<float>& binner) {
    LinearGuesser guesser = unshifted(binner.linear);
    guesser.doubtful = 0;
    // The only edge that belongs to the bin before it.
    guesser.special = binner.linear.last_edge;
    guesser.far = -1;
    return guesser;
  }

  static __device__ LinearGuesser careful(const LinearOrSearchBinner<float>& binner) {
    LinearGuesser guesser = unshifted(binner.linear);
    guesser.special = bit_cast<float>(0x7fc00000u);
    guesser.far = 1;
    if (!binner.guesses) {
      guesser.doubtful = 1;
      return guesser;
    }
    // LinearBinner's, and half a unit in the last digit more: sums are rounded down.
    const double tolerance = binner.linear.doubtful / 2.0 + 0x1p-24 * (binner.linear.bins + 2);
    guesser.offset = static_cast<float>(offset_of(binner.linear) + tolerance);
    guesser.doubtful = static_cast<float>(2 * tolerance);
    // Zeros are common.
    float how_far;
    if (guesser.guess(0.0f, how_far) == kFirst + binner.slot(0.0f)) guesser.special = 0;
    return guesser;
  }

  // It is in the range of the slots for every x. A NaN may have any fraction, so check for NaNs
  // first.
  __device__ uint32_t guess(float x, float& how_far) const {
    const float position = fminf(fmaxf(multiply_add_down(x, scale, offset), least), most);
    const uint32_t slot = floor_above_2_to_23(position);
    how_far = x == special ? far : position - (bit_cast<float>(slot) - 0x1p23f);
    return slot;
  }

  // Whether the guesses are right for the numbers of a format on both sides of an edge.
  template <class Format>
  __device__ bool is_right_beside(const float* edges, int32_t edge) const {
    float how_far;
    const auto above = Neighbours<Format>::not_below(edges[edge]);
    const auto below = Neighbours<Format>::below(above);
    return guess(Format::value(below), how_far) == kFirst + edge &&
           guess(Format::value(above), how_far) == kFirst + edge + 1;
  }

 private:
  static RELUSTAT_HOST_DEVICE double offset_of(const LinearBinner<float>& linear) {
    const double lo = linear.edges[0], hi = linear.edges[linear.bins];
    return 1 - lo * (linear.bins / (hi - lo));
  }
  static RELUSTAT_HOST_DEVICE LinearGuesser unshifted(const LinearBinner<float>& linear) {
    LinearGuesser guesser;
    guesser.scale = linear.scale;
    guesser.offset = static_cast<float>(offset_of(linear));
    guesser.least = linear.least;
    guesser.most = linear.most;
    return guesser;
  }
};

}  // namespace relustat::cuda
