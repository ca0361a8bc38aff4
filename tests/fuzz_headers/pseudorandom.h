#pragma once

#include <cstdint>

// Far more numbers than an input has bytes.

namespace fuzz {

// SplitMix64.
class Pseudorandom {
 public:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;

  explicit Pseudorandom(uint64_t seed) : state_(seed) {}

  uint64_t word() {
    state_ += kStep;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }
  // Below `end`.
  int64_t below(int64_t end) { return static_cast<int64_t>(word() % static_cast<uint64_t>(end)); }

 private:
  uint64_t state_;
};

}  // namespace fuzz
