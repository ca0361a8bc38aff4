#pragma once

#include <cmath>
#include <cstdint>

#include "common/float_format.h"

// Functions that are one instruction on a GPU, but have no name in C++. Compiled for a CPU, as in
// tests/cuda_host, each is plain C++ with the same result.

namespace relustat::cuda {

using Count = unsigned long long;  // the type of atomicAdd()

// Adds to a word of global memory. An atomicAdd() waits for its result even if it is not used.
__device__ inline void add_global(Count* word, Count n) {
#if defined(__CUDA_ARCH__)
  asm volatile("red.relaxed.gpu.global.add.u64 [%0], %1;" ::"l"(__cvta_generic_to_global(word)),
               "l"(n)
               : "memory");
#else
  atomicAdd(word, n);
#endif
}

// Adds to a word of global memory and returns the old number. Later additions see what the block
// wrote before, and the block sees what was written before earlier additions.
__device__ inline Count add_in_order(Count* word, Count n) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
  Count before;
  asm volatile("atom.acq_rel.gpu.global.add.u64 %0, [%1], %2;"
               : "=l"(before)
               : "l"(__cvta_generic_to_global(word)), "l"(n)
               : "memory");
  return before;
#else
  return atomicAdd(word, n);
#endif
}

// A word of global memory that other blocks change.
__device__ inline Count load_global(const Count* word) {
#if defined(__CUDA_ARCH__)
  Count value;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];"
               : "=l"(value)
               : "l"(__cvta_generic_to_global(word))
               : "memory");
  return value;
#else
  return atomicAdd(const_cast<Count*>(word), Count{0});
#endif
}

__device__ inline void store_global(Count* word, Count value) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(__cvta_generic_to_global(word)),
               "l"(value)
               : "memory");
#else
  atomicExch(word, value);
#endif
}

// The compiler must compute again what depends on the result.
__device__ inline uint32_t computed_anew(uint32_t value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(value)::"memory");
#endif
  return value;
}

// Fetches memory that is read soon.
__device__ inline void prefetch(const void* address) {
#if defined(__CUDA_ARCH__)
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
#else
  // So that a sanitizer sees it.
  static_cast<void>(*static_cast<const volatile char*>(address));
#endif
}

// max(x, 0) of a number or infinity, and whether that is 0: one comparison for both.
__device__ inline uint32_t rectify_and_count(uint32_t bits, uint32_t& zeros) {
#if defined(__CUDA_ARCH__)
  uint32_t rectified;
  asm("{\n"
      ".reg .pred is_zero;\n"
      "setp.le.f32 is_zero, %2, 0f00000000;\n"
      "selp.b32 %0, 0, %3, is_zero;\n"
      "@is_zero add.u32 %1, %1, 1;\n"
      "}"
      : "=r"(rectified), "+r"(zeros)
      : "f"(bit_cast<float>(bits)), "r"(bits));
  return rectified;
#else
  const bool is_zero = bit_cast<float>(bits) <= 0;
  zeros += is_zero ? 1 : 0;
  return is_zero ? 0 : bits;
#endif
}

// The number of vectors that a thread loads before it uses the first one. It is smaller before
// sm_90, where the same code takes more registers.
constexpr int in_flight(int vectors, [[maybe_unused]] int element_size) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  return element_size < 4 ? 1 : vectors / 2;
#else
  return vectors;
#endif
}

// The bits of 2^23 + floor(x), for x from 0 to 2^23.
__device__ inline uint32_t floor_above_2_to_23(float x) {
#if defined(__CUDA_ARCH__)
  return bit_cast<uint32_t>(__fadd_rd(x, 0x1p23f));
#else
  return bit_cast<uint32_t>(0x1p23f + static_cast<float>(static_cast<int32_t>(x)));
#endif
}

// x * y + z, rounded down once.
__device__ inline float multiply_add_down(float x, float y, float z) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rd(x, y, z);
#else
  // A double holds the product, and the remainder of the sum.
  const double product = static_cast<double>(x) * y;
  const double sum = product + z;
  const double from_z = sum - product;
  const double left_over = (product - (sum - from_z)) + (z - from_z);
  const auto nearest = static_cast<float>(sum);
  const bool is_above = nearest > sum || (nearest == sum && left_over < 0);
  return is_above ? std::nextafter(nearest, -HUGE_VALF) : nearest;
#endif
}

// The larger of each half, as unsigned numbers of 16 bits.
__device__ inline uint32_t larger_halves(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
  return __vmaxu2(a, b);
#else
  const uint32_t low = (a & 0xffffu) > (b & 0xffffu) ? a : b;
  const uint32_t high = a >> 16 > b >> 16 ? a : b;
  return (high & 0xffff0000u) | (low & 0xffffu);
#endif
}

// The first or the second half of a word.
template <class Format>
__device__ float value_of_half(uint32_t word, int i) {
#if defined(__CUDA_ARCH__)
  if constexpr (Format::kInfinity == 0x7c00u) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<uint16_t>(word >> 16 * i)));
    return value;
  }
#endif
  return Format::value(static_cast<typename Format::Bits>(word >> 16 * i));
}

// The first bit of each half is set if the half is 0, for two numbers that are not below 0.
template <class Format>
__device__ uint32_t halves_of_zero(uint32_t word) {
#if defined(__CUDA_ARCH__)
  constexpr bool kIsFloat16 = Format::kInfinity == 0x7c00u;
  if constexpr (kIsFloat16 || __CUDA_ARCH__ >= 900) {
    uint32_t mask;
    if constexpr (kIsFloat16) {
      asm("set.eq.u32.f16x2 %0, %1, %2;" : "=r"(mask) : "r"(word), "r"(0));
    } else {
      asm("set.eq.u32.bf16x2 %0, %1, %2;" : "=r"(mask) : "r"(word), "r"(0));
    }
    return mask & 0x00010001u;
  }
#endif
  return (0x80008000u - word) >> 15 & 0x00010001u;
}

// max(x, 0) of two numbers. The result for NaN is not defined.
template <class Format>
__device__ uint32_t rectified_halves(uint32_t word) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32_t rectified;
  if constexpr (Format::kInfinity == 0x7f80u) {
    asm("max.bf16x2 %0, %1, %2;" : "=r"(rectified) : "r"(word), "r"(0));
  } else {
    asm("max.f16x2 %0, %1, %2;" : "=r"(rectified) : "r"(word), "r"(0));
  }
  return rectified;
#else
  return word & ~((word >> 15 & 0x00010001u) * 0xffffu);
#endif
}

}  // namespace relustat::cuda
