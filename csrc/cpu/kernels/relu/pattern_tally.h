#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Counts 16-bit elements by their bits. The slot of a pattern of bits is looked for once, at the
// end, and the bins do not matter until then.
template <class Format>
class PatternTally {
 public:
  using Bits = typename Format::Bits;
  static_assert(sizeof(Bits) == 2);

  // table: [kPatternTables, kPatterns], all 0, and again after flush().
  explicit PatternTally(uint32_t* table) : table_(table) {}

  [[gnu::always_inline]] inline void add(const Bits* x) {
    note_range(x);
    if (x[0] == x[1] && x[0] == x[kSpan / 2] && x[0] == x[kSpan - 1] && are_equal(x)) [[unlikely]] {
      // Each increment would wait for the one before it.
      table_[x[0]] += kSpan;
      return;
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < kSpan; i += 4) {
      uint64_t four;
      memcpy(&four, x + i, sizeof(four));
      ++table_[four & 0xffff];
      ++table_[kPatterns + (four >> 16 & 0xffff)];
      ++table_[four >> 32 & 0xffff];
      ++table_[kPatterns + (four >> 48)];
    }
  }

  template <class Binner>
  void flush(const Binner& binner, int64_t* histogram) {
    constexpr int64_t kSigned = kPatterns / 2;
    Bits most = 0;
    Bits least = UINT16_MAX;
    for (int i = 0; i < kLanes; ++i) {
      most = most_[i] > most ? most_[i] : most;
      least = least_[i] < least ? least_[i] : least;
    }
    // Patterns of 0 and its neighbours, and from the least number to the largest.
    const int64_t first = least / kSpan > 0 ? least / kSpan : 1;
    for (const int64_t sign : {int64_t{0}, kSigned}) {
      flush_span(sign, binner, histogram);
      for (int64_t span = first; span <= most / kSpan; ++span) {
        flush_span(sign + span * kSpan, binner, histogram);
      }
    }
  }

 private:
  static constexpr int kLanes = kFullLanes<Bits>;

  [[gnu::always_inline]] inline void note_range(const Bits* x) {
    auto most = most_;
    auto least = least_;
    for_each_index<kSpan / kLanes>([&]<int v>() __attribute__((always_inline)) {
      const auto magnitude =
          load<kLanes>(x + v * kLanes) & splat<Bits, kLanes>(static_cast<Bits>(~Format::kSign));
      // 0 becomes the largest number.
      const auto below = magnitude - splat<Bits, kLanes>(1);
      most = magnitude > most ? magnitude : most;
      least = below < least ? below : least;
    });
    most_ = most;
    least_ = least;
  }

  static bool are_equal(const Bits* x) {
    Bits different = 0;
    for (int64_t i = 0; i < kSpan; ++i) different |= x[i] ^ x[0];
    return different == 0;
  }

  template <class Binner>
  [[gnu::noinline]] void flush_span(int64_t first, const Binner& binner, int64_t* histogram) {
    uint32_t* const counts = table_ + first;
    uint32_t any = 0;
    for (int64_t i = 0; i < kSpan; ++i) {
      counts[i] += counts[kPatterns + i];
      any |= counts[i];
    }
    if (any == 0) return;
    Bits patterns[kSpan];
    int32_t slots[kSpan];
    for (int64_t i = 0; i < kSpan; ++i) patterns[i] = static_cast<Bits>(first + i);
    SlotWriter writer{slots};
    find_slots<Format>(binner, patterns, writer, kNothing);
    for (int64_t i = 0; i < kSpan; ++i) histogram[slots[i]] += counts[i];
    memset(counts, 0, kSpan * sizeof(uint32_t));
    memset(counts + kPatterns, 0, kSpan * sizeof(uint32_t));
  }

  uint32_t* const table_;
  Vector<Bits, kLanes> most_{};
  Vector<Bits, kLanes> least_ = splat<Bits, kLanes>(UINT16_MAX);
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
