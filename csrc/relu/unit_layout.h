#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

// A dense tensor in memory order, as [outer, units, inner].
struct UnitLayout {
  int64_t outer;
  int64_t units;
  int64_t inner;

  RELUSTAT_HOST_DEVICE int64_t elements() const { return outer * units * inner; }
  RELUSTAT_HOST_DEVICE int64_t elements_per_unit() const { return outer * inner; }
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat
