#pragma once

// What follows is compiled for this instruction set, up to end_target.h.

#define RELUSTAT_ISA avx512
#define RELUSTAT_VECTOR_BYTES 64
#if defined(__clang__)
#pragma clang attribute push(                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c,bmi2"))), \
    apply_to = function)
#else
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c,bmi2,prefer-vector-width=512,tune=icelake-server")
#endif
