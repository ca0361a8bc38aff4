#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// Walks the rows of planes [d, h] in order, without divisions.
struct RowWalk {
  const int64_t size_d;
  const int64_t size_h;
  int64_t row;  // of all
  int64_t plane;
  int64_t d;
  int64_t h;

  RowWalk(int64_t size_d, int64_t size_h, int64_t begin)
      : size_d(size_d),
        size_h(size_h),
        row(begin),
        plane(begin / (size_d * size_h)),
        d(begin / size_h % size_d),
        h(begin % size_h) {}

  void next() {
    ++row;
    if (++h < size_h) return;
    h = 0;
    if (++d < size_d) return;
    d = 0;
    ++plane;
  }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
