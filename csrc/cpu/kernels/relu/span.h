#pragma once

#include <cstdint>

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

// Elements whose slots are found together and then counted: few enough that the processor finds the
// next ones while it still counts these.
constexpr int64_t kSpan = 128;

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
