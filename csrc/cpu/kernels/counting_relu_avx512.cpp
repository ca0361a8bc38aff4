#if defined(__x86_64__)

#define RELUSTAT_ISA avx512
#if defined(__clang__)
#pragma clang attribute push(                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c,bmi2"))), \
    apply_to = function)
#else
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c,bmi2,prefer-vector-width=512,tune=icelake-server")
#endif
#include "counting_relu_body.h"

namespace relustat::cpu {

void counting_relu_avx512(const CountingReluShare& share) { count_share(share); }

}  // namespace relustat::cpu

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
