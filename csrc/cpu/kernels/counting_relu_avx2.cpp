#if defined(__x86_64__)

#define RELUSTAT_ISA avx2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,bmi2,tune=haswell")
#endif
#include "counting_relu_body.h"

namespace relustat::cpu {

void counting_relu_avx2(const CountingReluShare& share) { count_share(share); }

}  // namespace relustat::cpu

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
