#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/span.h"
#include "relu/mask.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The mask of a share, a span after the other; of a call without one, nothing.
class MaskSpans {
 public:
  explicit MaskSpans(const CountingReluShare& share)
      : is_there_(share.mask != nullptr),
        walk_(share.mask, {0, share.units, share.inner}, share.begin) {}

  bool is_there() const { return is_there_; }

  // The mask of the next n elements; null if all of them are counted.
  [[gnu::always_inline]] inline const uint8_t* next(int64_t n) {
    if (!is_there_) [[likely]] {
      return nullptr;
    }
    return read(n);
  }

 private:
  [[gnu::noinline]] const uint8_t* read(int64_t n) {
    const uint8_t* kept = kept_;
    if (n == kSpan && !walk_.has_same_byte() && walk_.run() >= kSpan) {
      kept = walk_.now();
      walk_.advance(kSpan);
    } else {
      memset(kept_, 1, kSpan);
      for (int64_t i = 0; i < n;) {
        const int64_t end = i + walk_.run() < n ? i + walk_.run() : n;
        if (walk_.has_same_byte()) {
          memset(kept_ + i, *walk_.now(), end - i);
        } else {
          memcpy(kept_ + i, walk_.now(), end - i);
        }
        walk_.advance(end - i);
        i = end;
      }
    }
    uint8_t hidden = 0;
    for (int64_t i = 0; i < kSpan; ++i) hidden |= kept[i] == 0 ? 1 : 0;
    return hidden == 0 ? nullptr : kept;
  }

  const bool is_there_;
  MaskWalk walk_;
  uint8_t kept_[kSpan];
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
