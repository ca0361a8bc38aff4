#if defined(__x86_64__)

#define RELUSTAT_ISA avx2
#define RELUSTAT_VECTOR_BYTES 32
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,bmi2,tune=haswell")
#endif
#include "kernel_bodies.h"

namespace relustat::cpu {

constinit const Kernels kAvx2Kernels = kKernels;

}  // namespace relustat::cpu

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
