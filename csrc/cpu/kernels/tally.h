#pragma once

#include <cstdint>
#include <cstring>

#include "../../host_device.h"
#include "tiling.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Counts n slots in kLanes histograms side by side: neighbouring elements often share a bin, and an
// increment must wait for the one before it in the same word. Slots are read four at a time.
//
// Counting leaves the memory idle, so the next block's inputs and outputs are fetched meanwhile.
template <class Bits>
void tally(const uint16_t* slots, int64_t n, uint32_t* lanes, int64_t stride, const Bits* next_x,
           const Bits* next_y) {
  constexpr int64_t kCacheLine = 64 / sizeof(Bits);
  int64_t i = 0;
  for (; i + kCacheLine <= n; i += kCacheLine) {
    __builtin_prefetch(next_x + i, /*write=*/0);
    __builtin_prefetch(next_y + i, /*write=*/1);
    for (int64_t j = i; j < i + kCacheLine; j += kLanes) {
      uint64_t low, high;
      memcpy(&low, slots + j, sizeof(low));
      memcpy(&high, slots + j + 4, sizeof(high));
      ++lanes[low & 0xffff];
      ++lanes[stride + (low >> 16 & 0xffff)];
      ++lanes[2 * stride + (low >> 32 & 0xffff)];
      ++lanes[3 * stride + (low >> 48)];
      ++lanes[4 * stride + (high & 0xffff)];
      ++lanes[5 * stride + (high >> 16 & 0xffff)];
      ++lanes[6 * stride + (high >> 32 & 0xffff)];
      ++lanes[7 * stride + (high >> 48)];
    }
  }
  for (; i < n; ++i) ++lanes[slots[i]];
}

void flush_lanes(uint32_t* lanes, int64_t stride, int64_t slots, int64_t* histogram) {
  for (int64_t s = 0; s < slots; ++s) {
    // All lanes together hold no more than kFlushEvery counts.
    uint32_t count = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) count += lanes[lane * stride + s];
    histogram[s] += count;
  }
  memset(lanes, 0, sizeof(*lanes) * kLanes * stride);
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
