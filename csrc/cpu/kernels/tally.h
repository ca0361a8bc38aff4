#pragma once

#include <cstdint>
#include <cstring>

#include "span.h"
#include "tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The compiler writes `words` to memory and reads them from there: to take them out of a vector
// register one by one is slower.
template <int64_t kWords>
[[gnu::always_inline]] inline void keep_in_memory(uint32_t (&words)[kWords]) {
  __asm__ volatile("" : "+m"(words));
}

template <int64_t kWords>
[[gnu::always_inline]] inline bool are_equal(const uint32_t (&words)[kWords]) {
  if (words[0] != words[1] || words[0] != words[kWords / 2] || words[0] != words[kWords - 1]) {
    return false;
  }
  uint32_t different = 0;
  for (int64_t i = 0; i < kWords; ++i) different |= words[i] ^ words[0];
  return different == 0;
}

// Counts spans of slots. Which counts to increment is written down at once, and done one span
// later: what a vector has just written is slow to read in smaller parts.
//
// Counter: how many words a span makes, and what it does with them.
template <class Counter>
class Tally {
 public:
  explicit Tally(const Counter& counter) : counter_(counter) {}

  [[gnu::always_inline]] inline void add(const int32_t* slots) {
    counter_.write_down(slots, words_[now_]);
    now_ = 1 - now_;
    if (is_pending_) count(words_[now_]);
    is_pending_ = true;
  }

  void flush() {
    if (is_pending_) count(words_[1 - now_]);
    is_pending_ = false;
    counter_.flush();
    counted_ = 0;
  }

 private:
  using Words = uint32_t[Counter::kWords];

  [[gnu::always_inline]] inline void count(Words& words) {
    keep_in_memory(words);
    // A dead layer's: each increment would wait for the one before it.
    if (are_equal(words)) {
      counter_.count_equal(words[0]);
    } else {
      counter_.count(words);
    }
    counted_ += Counter::kWords;
    if (counted_ > Counter::kMost - Counter::kWords) {
      counter_.flush();
      counted_ = 0;
    }
  }

  Counter counter_;
  alignas(64) Words words_[2];
  int now_ = 0;
  bool is_pending_ = false;
  int64_t counted_ = 0;
};

// In kLanes histograms side by side, [slots, lanes]: neighbouring elements often share a bin, and
// an increment must wait for the one before it in the same place.
struct LaneCounter {
  static constexpr int64_t kWords = kSpan;
  static constexpr int64_t kMost = UINT32_MAX;

  uint32_t* lanes;
  int64_t slots;
  int64_t* histogram;

  [[gnu::always_inline]] inline void write_down(const int32_t* slots, uint32_t* words) const {
    for (int64_t i = 0; i < kSpan; ++i) words[i] = static_cast<uint32_t>(slots[i] * kLanes);
  }

  [[gnu::always_inline]] inline void count(const uint32_t (&words)[kWords]) const {
    for (int64_t i = 0; i < kSpan; i += kLanes) {
#pragma GCC unroll 4
      for (int64_t lane = 0; lane < kLanes; lane += 2) {
        uint64_t two;
        memcpy(&two, words + i + lane, sizeof(two));
        ++lanes[(two & 0xffffffff) + lane];
        ++lanes[(two >> 32) + lane + 1];
      }
    }
  }

  void count_equal(uint32_t word) const { lanes[word] += kSpan; }

  void flush() const {
    for (int64_t slot = 0; slot < slots; ++slot) {
      uint32_t count = 0;
      for (int64_t lane = 0; lane < kLanes; ++lane) count += lanes[slot * kLanes + lane];
      histogram[slot] += count;
    }
    memset(lanes, 0, sizeof(*lanes) * kLanes * slots);
  }
};

// By pairs of elements, in a table [slots, slots] of 16-bit counts: half as many increments.
struct PairCounter {
  static constexpr int64_t kWords = kSpan / 2;
  static constexpr int64_t kMost = UINT16_MAX;

  uint16_t* table;
  int64_t slots;
  int64_t* histogram;

  [[gnu::always_inline]] inline void write_down(const int32_t* first, uint32_t* words) const {
    const int32_t* const second = first + kWords;
    const auto width = static_cast<int32_t>(slots);
    for (int64_t i = 0; i < kWords; ++i) {
      words[i] = static_cast<uint32_t>(first[i] * width + second[i]);
    }
  }

  [[gnu::always_inline]] inline void count(const uint32_t (&words)[kWords]) const {
#pragma GCC unroll 16
    for (int64_t i = 0; i < kWords; i += 2) {
      uint64_t two;
      memcpy(&two, words + i, sizeof(two));
      ++table[two & 0xffffffff];
      ++table[two >> 32];
    }
  }

  void count_equal(uint32_t word) const { table[word] += kWords; }

  // No sum is greater than kMost.
  void flush() const {
    uint16_t seconds[kMostPairedSlots] = {};
    for (int64_t first = 0; first < slots; ++first) {
      uint16_t* const row = table + first * slots;
      uint16_t count = 0;
      for (int64_t second = 0; second < slots; ++second) {
        count = static_cast<uint16_t>(count + row[second]);
        seconds[second] = static_cast<uint16_t>(seconds[second] + row[second]);
      }
      memset(row, 0, sizeof(*row) * slots);
      histogram[first] += count;
    }
    for (int64_t second = 0; second < slots; ++second) histogram[second] += seconds[second];
  }
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
