#pragma once

// What follows is compiled for this instruction set, up to end_target.h.

#define RELUSTAT_ISA avx2
#define RELUSTAT_VECTOR_BYTES 32
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,bmi2,tune=haswell")
#endif
