#pragma once

#include "common/float_format.h"

namespace relustat::cuda {

// A format whose numbers a GPU converts itself, where it can: by one instruction each, with the
// same results (but for the bits of NaNs).
template <class Format>
struct CudaFormat : Format {};

template <>
struct CudaFormat<Float16> : Float16 {
  static RELUSTAT_HOST_DEVICE Value value(Bits bits) {
#if defined(__CUDA_ARCH__)
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#else
    return Float16::value(bits);
#endif
  }
  template <class Words>
  static RELUSTAT_HOST_DEVICE Words rounded(float value) {
#if defined(__CUDA_ARCH__)
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    return Float16::rounded<Words>(value);
#endif
  }
};

template <>
struct CudaFormat<BFloat16> : BFloat16 {
  template <class Words>
  static RELUSTAT_HOST_DEVICE Words rounded(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    return BFloat16::rounded<Words>(value);
#endif
  }
};

}  // namespace relustat::cuda
