#pragma once

#include <cstdint>
#include <memory>

namespace relustat::cpu {

// A thread's memory for one call, aligned to cache lines; not initialised.
class Scratch {
 public:
  explicit Scratch(int64_t bytes)
      : memory_(std::make_unique_for_overwrite<char[]>(bytes + kAlignment)) {}

  void* memory() const {
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    return memory_.get() + (kAlignment - address % kAlignment) % kAlignment;
  }

 private:
  static constexpr uintptr_t kAlignment = 64;

  std::unique_ptr<char[]> memory_;
};

}  // namespace relustat::cpu
