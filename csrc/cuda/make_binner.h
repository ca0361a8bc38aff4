#pragma once

#include "../binning.h"
#include "intrinsics.cuh"

namespace relustat::cuda {

template <class Value>
struct LinearOrSearchBinner {
  LinearBinner<Value> linear;
  bool guesses;

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    return guesses ? linear.slot(x) : SearchBinner<Value>{linear.edges, linear.bins}.slot(x);
  }
};

// The guess of LinearBinner in as few instructions as there can be. Slots go by numbers from the
// bits of 2^23 on: so the floor of a float is found by an addition.
struct LinearGuesser {
  static constexpr uint32_t kFirst = 0x4b000000u;

  float scale, offset, least, most, doubtful, exempt;

  explicit RELUSTAT_HOST_DEVICE LinearGuesser(const LinearOrSearchBinner<float>& binner)
      : scale(binner.linear.scale),
        offset(binner.linear.offset),
        least(binner.linear.least),
        most(binner.linear.most),
        doubtful(binner.guesses ? binner.linear.doubtful : bit_cast<float>(0x7f800000u)),
        exempt(binner.linear.exempt) {}

  // In the range of the slots, whatever x is. A NaN is doubtful.
  __device__ uint32_t guess(float x, bool& is_doubtful) const {
    const float position = fminf(fmaxf(x * scale + offset, least), most);
    const uint32_t slot = floor_above_2_to_23(position);
    const float how_far = position - (bit_cast<float>(slot) - 0x1p23f);
    is_doubtful = ((how_far < doubtful) & (x != exempt)) | (x != x);
    return slot;
  }
};

struct NoBinner {};

template <class Value, Binning kBinning>
RELUSTAT_HOST_DEVICE auto make_binner(const float* edges, int64_t bins) {
  if constexpr (kBinning == Binning::kSearch) {
    return SearchBinner<Value>{edges, static_cast<int32_t>(bins)};
  } else if constexpr (kBinning == Binning::kLinear) {
    const auto linear = LinearBinner<Value>::make(edges, bins);
    return LinearOrSearchBinner<Value>{linear, linear.guesses_within_one};
  } else if constexpr (kBinning == Binning::kLog) {
    return LogBinner<Value>::make(edges, bins);
  } else {
    return NoBinner{};
  }
}

}  // namespace relustat::cuda
