#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/relu/find_slots.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// As in a dead layer.
template <int64_t kWords>
[[gnu::always_inline]] inline bool are_equal(const uint32_t (&words)[kWords]) {
  if (words[0] != words[1] || words[0] != words[kWords / 2] || words[0] != words[kWords - 1]) {
    return false;
  }
  uint32_t different = 0;
  for (int64_t i = 0; i < kWords; ++i) different |= words[i] ^ words[0];
  return different == 0;
}

// Counts spans of slots in a table of 16-bit counts. A scheme has its layout: it stores the counts
// of a span that are to be incremented, and adds the table up.
//
// They are incremented one span later, because memory that a vector has just written is slow to
// read in parts.
template <class Scheme>
class Tally {
 public:
  Tally(const Scheme& scheme, uint32_t* scratch, int64_t* histogram)
      : scheme_(scheme), table_(reinterpret_cast<uint16_t*>(scratch)), histogram_(histogram) {}

  [[gnu::always_inline]] inline void add(const SpanSlots& slots) {
    Words& words = words_[now_];
    scheme_.write_down(slots, words);
    if (are_equal(words)) [[unlikely]] {
      // Each increment would wait for the one before it.
      table_[words[0]] += Scheme::kWords;
    } else {
      is_pending_ = true;
      now_ = 1 - now_;
    }
    written_down_ += Scheme::kWords;
    if (written_down_ > UINT16_MAX - Scheme::kWords) flush();
  }

  // Increments a part of the counts that the last span wrote down; all parts before the next one.
  [[gnu::always_inline]] inline void increment_part(int part) {
    if (is_pending_) increment(words_[1 - now_] + part * kPart);
    if (part == kVectors - 1) is_pending_ = false;
  }

  [[gnu::always_inline]] inline void increment_all() {
    for (int part = 0; part < kVectors; ++part) increment_part(part);
  }

  void flush() {
    increment_all();
    scheme_.add_up(table_, histogram_);
    memset(table_, 0, sizeof(*table_) * scheme_.size());
    written_down_ = 0;
  }

 private:
  using Words = uint32_t[Scheme::kWords];

  static constexpr int64_t kPart = Scheme::kWords / kVectors;

  [[gnu::always_inline]] inline void increment(const uint32_t* words) {
#pragma GCC unroll 16
    for (int64_t i = 0; i < kPart; i += 2) {
      uint64_t two;
      memcpy(&two, words + i, sizeof(two));
      ++table_[two & 0xffffffff];
      ++table_[two >> 32];
    }
  }

  const Scheme scheme_;
  uint16_t* const table_;
  int64_t* const histogram_;
  alignas(64) Words words_[2];
  int now_ = 0;
  bool is_pending_ = false;
  int64_t written_down_ = 0;
};

// kLanes histograms side by side, [lanes, stride]: neighbouring elements often share a bin, and an
// increment must wait for the one before it at the same address.
struct ByLanes {
  static constexpr int64_t kWords = kSpan;

  int32_t slots;
  int32_t stride = static_cast<int32_t>(lane_stride(slots));

  int64_t size() const { return kLanes * stride; }
  bool is_small() const { return true; }

  [[gnu::always_inline]] inline void write_down(const SpanSlots& slots, uint32_t* words) const {
    Ints lanes;
    for (int i = 0; i < kFloats; ++i) lanes[i] = i % kLanes * stride;
    for_each_index<kVectors>([&]<int v>() __attribute__((always_inline)) {
      store(slots.of[v] + lanes, words + v * kFloats);
    });
  }

  void add_up(const uint16_t* table, int64_t* histogram) const {
    for (int32_t slot = 0; slot < slots; ++slot) {
      uint32_t count = 0;
      for (int32_t lane = 0; lane < kLanes; ++lane) count += table[lane * stride + slot];
      histogram[slot] += count;
    }
  }
};

// A count for each pair of slots, [slots, slots]: half as many increments.
struct ByPairs {
  static constexpr int64_t kWords = kSpan / 2;

  int32_t slots;

  int64_t size() const { return slots * slots; }
  bool is_small() const { return slots <= kMostSmallPairs; }

  [[gnu::always_inline]] inline void write_down(const SpanSlots& found, uint32_t* words) const {
    constexpr int kHalf = kVectors / 2;
    const auto stride = splat<int32_t, kFloats>(slots);
    for_each_index<kHalf>([&]<int v>() __attribute__((always_inline)) {
      store(found.of[v] * stride + found.of[v + kHalf], words + v * kFloats);
    });
  }

  // No sum over a table is greater than the largest possible count.
  void add_up(const uint16_t* table, int64_t* histogram) const {
    uint16_t seconds[kMostPairedSlots] = {};
    for (int32_t first = 0; first < slots; ++first) {
      const uint16_t* const row = table + first * slots;
      uint16_t count = 0;
      for (int32_t second = 0; second < slots; ++second) {
        count = static_cast<uint16_t>(count + row[second]);
        seconds[second] = static_cast<uint16_t>(seconds[second] + row[second]);
      }
      histogram[first] += count;
    }
    for (int32_t second = 0; second < slots; ++second) histogram[second] += seconds[second];
  }
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
