#pragma once

#include <cstdint>

#include "common/dtype.h"

namespace relustat::cpu {

// One thread's share of one call: units [unit_begin, unit_end) of samples [begin, end).
struct ActivationHashShare {
  const void* x;  // [samples, units]
  Dtype dtype;
  int64_t units;
  int64_t salt;
  int64_t begin;
  int64_t end;
  int64_t unit_begin;
  int64_t unit_end;
  uint64_t* hashes;  // [samples]; keys are XORed into them, by one thread at a time
};

}  // namespace relustat::cpu
