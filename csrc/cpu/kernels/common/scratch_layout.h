#pragma once

#include <cstdint>

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// The parts of a scratch memory, one after the other, each aligned to cache lines.
struct ScratchLayout {
  int64_t bytes = 0;

  // Where the next part begins: `count` elements of `size` bytes.
  int64_t take(int64_t count, int64_t size) {
    constexpr int64_t kLine = 64;
    const int64_t begin = bytes;
    bytes += (count * size + kLine - 1) / kLine * kLine;
    return begin;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
