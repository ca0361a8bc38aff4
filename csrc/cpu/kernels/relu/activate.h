#pragma once

#include <cstdint>

#include "cpu/kernels/relu/counting_relu.h"
#include "relu/family.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set. The relatives of
// ReLU: neighbours are activated, and the inactive and saturated ones of them are counted.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

struct ActivityCounts {
  int64_t inactive;
  int64_t saturated;
};

// n elements of one unit, at most a span. y may be x.
template <class Body, class Bits>
[[gnu::always_inline]] inline ActivityCounts activate_run(const Body& body, const Bits* x, Bits* y,
                                                          int64_t n) {
  Bits inactive = 0;
  Bits saturated = 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = x[i];
    y[i] = body.output(bits);
    inactive = static_cast<Bits>(inactive + (body.is_inactive(bits) ? 1 : 0));
    saturated = static_cast<Bits>(saturated + (body.is_saturated(bits) ? 1 : 0));
  }
  return {static_cast<int64_t>(inactive), static_cast<int64_t>(saturated)};
}

// The same, counting those that a mask keeps.
template <class Body, class Bits>
[[gnu::always_inline]] inline ActivityCounts activate_kept_run(const Body& body, const Bits* x,
                                                               Bits* y, int64_t n,
                                                               const uint8_t* kept) {
  Bits inactive = 0;
  Bits saturated = 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = x[i];
    const bool is_kept = kept[i] != 0;
    y[i] = body.output(bits);
    inactive = static_cast<Bits>(inactive + ((body.is_inactive(bits) & is_kept) ? 1 : 0));
    saturated = static_cast<Bits>(saturated + ((body.is_saturated(bits) & is_kept) ? 1 : 0));
  }
  return {static_cast<int64_t>(inactive), static_cast<int64_t>(saturated)};
}

// n neighbours of different units. body_at(i): what activates that of column i. kept may be null.
template <class BodyAt, class Bits>
[[gnu::always_inline]] inline void activate_columns(const BodyAt& body_at, const Bits* x, Bits* y,
                                                    int64_t n, const uint8_t* kept,
                                                    uint32_t* inactive, uint32_t* saturated) {
  const auto activate = [&](const auto& is_kept) __attribute__((always_inline)) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const auto body = body_at(i);
      const Bits bits = x[i];
      y[i] = body.output(bits);
      inactive[i] += (body.is_inactive(bits) & is_kept(i)) ? 1 : 0;
      saturated[i] += (body.is_saturated(bits) & is_kept(i)) ? 1 : 0;
    }
  };
  if (kept == nullptr) [[likely]] {
    activate([](int64_t) { return true; });
  } else {
    activate([&](int64_t i) { return kept[i] != 0; });
  }
}

// What a share does with its elements.
template <class Format>
class FamilyMember {
 public:
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;

  explicit FamilyMember(const CountingReluShare& share)
      : activation_(share.activation),
        numbers_(share.numbers),
        slopes_(static_cast<const Bits*>(share.slopes)),
        slope_step_(share.has_slope_per_unit ? 1 : 0) {}

  bool has_slopes() const { return slopes_ != nullptr; }
  Value slope_of(int64_t unit) const { return Format::value(slopes_[unit * slope_step_]); }

  // Calls visit(body).
  template <class Visit>
  [[gnu::always_inline]] inline void with_body_of(int64_t unit, const Visit& visit) const {
    ActivationNumbers numbers = numbers_;
    if (has_slopes()) numbers.first = slope_of(unit);
    with_activation<Format>(activation_, numbers, visit);
  }

  // Calls visit(body_at); slopes: by column.
  template <class Visit>
  [[gnu::always_inline]] inline void with_bodies(const Value* slopes, const Visit& visit) const {
    if (has_slopes()) return visit([=](int64_t i) { return Slope<Format>({slopes[i], 0}); });
    with_activation<Format>(activation_, numbers_,
                            [&](const auto& body) { visit([&](int64_t) { return body; }); });
  }

 private:
  const Activation activation_;
  const ActivationNumbers numbers_;
  const Bits* const slopes_;
  const int64_t slope_step_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
