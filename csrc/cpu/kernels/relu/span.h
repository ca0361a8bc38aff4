#pragma once

#include <cstdint>

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// The number of elements whose slots are found together and then counted. It is so small that the
// processor finds the next slots while it still counts these.
constexpr int64_t kSpan = 128;

constexpr int64_t kCacheLineBytes = 64;

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
