#pragma once

#include <cstdint>

namespace relustat::cpu {

// Below this many elements, waking a second thread costs more than it saves (torch's own figure).
constexpr int64_t kGrain = 32768;

// What it takes to store the result of a pool's window, or to put it back, in elements that are
// read or cleared.
constexpr int64_t kElementsPerWindow = 8;

// The number of parts that are worth a thread, for parts of this number of elements.
inline int64_t grain_of(int64_t elements) { return (kGrain + elements - 1) / elements; }

}  // namespace relustat::cpu
