#pragma once

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/find_slots.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Calls loop.run(binner) with the fastest binner, or loop.run_without_bins().
template <class Format, class CountLoop>
void run_with_bins(const CountingReluShare& share, CountLoop& loop) {
  using Value = typename Format::Value;
  const SearchBinner<Value> search{share.edges, static_cast<int32_t>(share.bins)};
  switch (static_cast<Binning>(share.binning)) {
    case Binning::kNone:
      if constexpr (requires { loop.run_without_bins(); }) loop.run_without_bins();
      break;
    case Binning::kSearch:
      loop.run(search);
      break;
    case Binning::kLinear: {
      const auto binner = LinearBinner<Value>::make(share.edges, share.bins);
      if (!binner.guesses_within_one) {
        loop.run(search);
      } else if constexpr (sizeof(Value) == sizeof(float)) {
        loop.run(FixedPointBinner::make(binner));
      } else {
        loop.run(binner);
      }
      break;
    }
    case Binning::kLog:
      loop.run(LogBinner<Value>::make(share.edges, share.bins));
      break;
  }
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
