#pragma once

#include "cuda/common/intrinsics.cuh"
#include "cuda/common/pack.h"

namespace relustat::cuda {

// Neighbouring elements that are rectified in one register, and whose zeros are counted.
template <class Format, int kCount>
struct Word;

template <class Format>
struct Word<Format, 1> {
  using Bits = typename Format::Bits;
  static RELUSTAT_HOST_DEVICE Bits element(Bits word, int) { return word; }
  static __device__ typename Format::Value value(Bits word, int) { return Format::value(word); }
  static RELUSTAT_HOST_DEVICE Bits rectified(Bits word) { return rectify_as_cuda<Format>(word); }
  // Rectifies, and counts zeros. Counts may be added up kMostZerosInColumn times.
  static __device__ Bits rectify_and_count(Bits word, uint32_t& zeros) {
    if constexpr (sizeof(Bits) == 4) {
      return cuda::rectify_and_count(word, zeros);
    } else {
      const Bits y = rectified(word);
      zeros += y == 0 ? 1 : 0;
      return y;
    }
  }
  static __device__ Bits rectify_and_count_numbers(Bits word, uint32_t& zeros) {
    return rectify_and_count(word, zeros);
  }
  static RELUSTAT_HOST_DEVICE uint32_t count(uint32_t zeros, int) { return zeros; }
};

// Two elements of 16 bits. Each half's first bit is free once the sign is known: sums of the other
// bits do not reach into the other half.
template <class Format>
struct Word<Format, 2> {
  using Bits = uint32_t;
  static RELUSTAT_HOST_DEVICE typename Format::Bits element(Bits word, int i) {
    return static_cast<typename Format::Bits>(i == 0 ? word & 0xffffu : word >> 16);
  }
  static __device__ float value(Bits word, int i) { return value_of_half<Format>(word, i); }

  static RELUSTAT_HOST_DEVICE Bits rectified(Bits word) {
    constexpr Bits kAboveInfinity = twice(0x7fffu - Format::kInfinity);
    const Bits nans = (word & twice(0x7fffu)) + kAboveInfinity;
    const Bits cleared = word & ~nans & twice(0x8000u);
    return word & ~((cleared >> 15) * 0xffffu);
  }

  static __device__ Bits rectify_and_count(Bits word, uint32_t& zeros) {
    const Bits y = rectified(word);
    const Bits others = y | ((y & twice(0x7fffu)) + twice(0x7fffu));
    zeros += ~others >> 15 & twice(1u);
    return y;
  }
  // For words without NaNs.
  static __device__ Bits rectify_and_count_numbers(Bits word, uint32_t& zeros) {
    const Bits y = rectified_halves<Format>(word);
    zeros += halves_of_zero<Format>(y);
    return y;
  }
  static RELUSTAT_HOST_DEVICE uint32_t count(uint32_t zeros, int i) {
    return i == 0 ? zeros & 0xffffu : zeros >> 16;
  }

 private:
  static constexpr Bits twice(Bits half) { return half << 16 | half; }
};

// Neighbouring elements that a thread loads and stores at once.
template <class Format, int kVector>
struct Vector {
  static constexpr int kInWord = sizeof(typename Format::Bits) == 2 && kVector > 1 ? 2 : 1;
  static constexpr int kWords = kVector / kInWord;
  using Word = cuda::Word<Format, kInWord>;

  Pack<typename Word::Bits, kWords> words;

  // Of the elements that element(v) gives.
  template <class Element>
  static __device__ Vector of(const Element& element) {
    Vector made;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if constexpr (kInWord == 1) {
        made.words.of[i] = element(i);
      } else {
        const uint32_t second = element(2 * i + 1);
        made.words.of[i] = second << 16 | element(2 * i);
      }
    }
    return made;
  }

  RELUSTAT_HOST_DEVICE typename Format::Bits operator[](int v) const {
    return Word::element(words.of[v / kInWord], v % kInWord);
  }
  __device__ typename Format::Value value(int v) const {
    return Word::value(words.of[v / kInWord], v % kInWord);
  }
  RELUSTAT_HOST_DEVICE void set(int v, typename Format::Bits bits) {
    if constexpr (kInWord == 1) {
      words.of[v] = bits;
    } else {
      const int shift = 16 * (v % 2);
      uint32_t& word = words.of[v / 2];
      word = (word & ~(0xffffu << shift)) | static_cast<uint32_t>(bits) << shift;
    }
  }
};

}  // namespace relustat::cuda
