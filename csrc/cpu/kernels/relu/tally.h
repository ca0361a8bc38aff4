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

// Counts spans of slots in a table. A scheme has its layout: it writes down which counts a span
// increments, and adds the table up. That comes before a sum over the table is larger than a count
// may be.
//
// They are incremented while the next span's slots are found: memory that a vector has just written
// is slow to read in parts, and what increments leave of the processor is enough for the slots.
template <class Scheme>
class Tally {
 public:
  // table: all 0 but for what is to be added to, and again after flush().
  Tally(const Scheme& scheme, void* table) : scheme_(scheme), table_(static_cast<Count*>(table)) {}

  // A span: find(writer, beside) is find_slots, with more to do beside it.
  template <class Find>
  [[gnu::always_inline]] inline void add(const Find& find) {
    add_if_equal();
    const uint32_t* const last = words_[1 - now_];
    const bool is_pending = is_pending_;
    auto writer = scheme_.writer(words_[now_]);
    find(writer, [&]<int v>() __attribute__((always_inline)) {
      if (is_pending) increment(last + v * kPart);
    });
    now_ = 1 - now_;
    is_pending_ = true;
    written_down_ += Scheme::kWords;
    if (written_down_ > Scheme::kMostCount - Scheme::kWords) flush();
  }

  void flush() {
    add_if_equal();
    if (is_pending_) {
      for (int v = 0; v < kVectors; ++v) increment(words_[1 - now_] + v * kPart);
    }
    is_pending_ = false;
    scheme_.add_up(table_);
    written_down_ = 0;
  }

 private:
  using Count = typename Scheme::Count;
  using Words = uint32_t[Scheme::kWords];

  static constexpr int64_t kPart = Scheme::kWords / kVectors;

  // Each increment would wait for the one before it.
  [[gnu::always_inline]] inline void add_if_equal() {
    const Words& words = words_[1 - now_];
    if (!is_pending_ || !are_equal(words)) [[likely]] {
      return;
    }
    table_[words[0]] += Scheme::kWords;
    is_pending_ = false;
  }

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
  Count* const table_;
  alignas(64) Words words_[2];
  int now_ = 0;
  bool is_pending_ = false;
  int64_t written_down_ = 0;
};

// The histogram itself.
struct OneByOne {
  using Count = int64_t;
  static constexpr int64_t kMostCount = INT64_MAX;
  static constexpr int64_t kWords = kSpan;

  [[gnu::always_inline]] inline SlotWriter writer(uint32_t* words) const {
    return {reinterpret_cast<int32_t*>(words)};
  }

  void add_up(int64_t*) const {}
};

// A table of 16-bit counts.
struct NarrowCounts {
  using Count = uint16_t;
  static constexpr int64_t kMostCount = UINT16_MAX;
};

// kLanes histograms side by side, [lanes, stride]: neighbouring elements often share a bin, and an
// increment must wait for the one before it at the same address.
struct ByLanes : NarrowCounts {
  static constexpr int64_t kWords = kSpan;

  ByLanes(int32_t slots, int64_t* histogram)
      : slots(slots), stride(static_cast<int32_t>(lane_stride(slots))), histogram(histogram) {
    for (int i = 0; i < kFloats; ++i) lanes[i] = i % kLanes * stride;
  }

  struct Writer {
    const Ints lanes;
    uint32_t* words;

    template <int v>
    [[gnu::always_inline]] inline void put(Ints slots) {
      store(slots + lanes, words + v * kFloats);
    }
  };
  [[gnu::always_inline]] inline Writer writer(uint32_t* words) const {
    return {load<kFloats>(lanes), words};
  }

  void add_up(uint16_t* table) const {
    constexpr int32_t kTogether = 32;  // the stride is a multiple of it
    for (int32_t slot = 0; slot < slots; slot += kTogether) {
      uint16_t counts[kTogether] = {};
      for (int32_t lane = 0; lane < kLanes; ++lane) {
        uint16_t* const row = table + lane * stride + slot;
        for (int32_t i = 0; i < kTogether; ++i) {
          counts[i] = static_cast<uint16_t>(counts[i] + row[i]);
        }
        memset(row, 0, sizeof(counts));
      }
      const int32_t n = slots - slot < kTogether ? slots - slot : kTogether;
      for (int32_t i = 0; i < n; ++i) histogram[slot + i] += counts[i];
    }
  }

  int32_t slots;
  int32_t stride;
  int32_t lanes[kFloats];
  int64_t* histogram;
};

// A count for each pair of slots, [slots, slots]: half as many increments.
struct ByPairs : NarrowCounts {
  static constexpr int64_t kWords = kSpan / 2;

  ByPairs(int32_t slots, int64_t* histogram) : slots(slots), histogram(histogram) {}

  struct Writer {
    static constexpr int kHalf = kVectors / 2;
    int32_t stride;
    uint32_t* words;
    Ints rows[kHalf];

    template <int v>
    [[gnu::always_inline]] inline void put(Ints slots) {
      if constexpr (v < kHalf) {
        rows[v] = slots * splat<int32_t, kFloats>(stride);
      } else {
        store(rows[v - kHalf] + slots, words + (v - kHalf) * kFloats);
      }
    }
  };
  [[gnu::always_inline]] inline Writer writer(uint32_t* words) const { return {slots, words, {}}; }

  void add_up(uint16_t* table) const {
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
    memset(table, 0, sizeof(*table) * slots * slots);
  }

  int32_t slots;
  int64_t* histogram;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
