#pragma once

#include "relu/binning.h"

namespace relustat::cuda {

template <class Value>
struct LinearOrSearchBinner {
  LinearBinner<Value> linear;
  bool guesses;

  RELUSTAT_HOST_DEVICE int32_t slot(Value x) const {
    return guesses ? linear.slot(x) : SearchBinner<Value>{linear.edges, linear.bins}.slot(x);
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
