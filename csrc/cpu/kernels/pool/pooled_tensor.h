#pragma once

#include <cstdint>

#include "cpu/kernels/pool/max_pool.h"

namespace relustat::cpu {

// A whole call of max_pool whose input is nowhere in memory: it comes in the order of memory.
struct PooledTensor {
  MaxPoolShare share;  // without x, begin, end and scratch
  int64_t planes;      // or images, if there are channels
  int64_t element_bytes;
};

}  // namespace relustat::cpu
