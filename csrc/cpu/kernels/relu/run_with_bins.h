#pragma once

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/narrow_guesses.h"
#include "cpu/kernels/relu/tiling.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Whether the time to check the guesses of all numbers of 16 bits pays. In one histogram they are
// counted by their bits: see pattern_tally.h.
inline bool is_worth_checking(const CountingReluShare& share) {
  if (!share.unit_histograms) return false;
  int64_t elements = share.end - share.begin;
  if (share.by_strips) {
    const UnitStrips strips(share.outer, share.units, share.inner);
    elements *= (share.row_end - share.row_begin) * strips.units * share.inner;
  }
  return elements >= kFewestToCheck;
}

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
      } else if constexpr (sizeof(Value) != sizeof(float)) {
        loop.run(binner);
      } else {
        if constexpr (sizeof(typename Format::Bits) == 2) {
          if (is_worth_checking(share)) {
            const auto narrow = NarrowBinner::make<Format>(binner);
            if (narrow.is_useful()) return loop.run(narrow);
          }
        }
        loop.run(FixedPointBinner::make(binner));
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
