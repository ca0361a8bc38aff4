#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "common/float_format.h"

// Vectors with a fixed number of lanes, by the extension that GCC and Clang share. The including
// file sets RELUSTAT_VECTOR_BYTES, the width of its instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

template <int kLanes>
struct Lanes {
  template <class T>
  struct VectorOf {
    typedef T Type __attribute__((vector_size(kLanes * sizeof(T))));
  };
  template <class T>
  using Of = typename VectorOf<T>::Type;

  template <class To, class From>
  static Of<To> wide(Of<From> vector);
  template <class To, class From>
  [[gnu::always_inline]] static inline Of<To> narrow(From vector) {
    return __builtin_convertvector(vector, Of<To>);
  }
  template <class T>
  static Of<T> splat(T value) {
    return value - Of<T>{};
  }
};

template <class T, int kLanes>
using Vector = typename Lanes<kLanes>::template Of<T>;

template <class T>
constexpr int kFullLanes = RELUSTAT_VECTOR_BYTES / sizeof(T);

// The number of elements, kStep apart (0: any step), to work on at once. Two vectors share the cost
// of each tap. Lanes that must be filled one by one are slow, so there are fewer.
template <class T, int kStep>
constexpr int kStrip = kStep == 0 ? (kFullLanes<T> < 16 ? kFullLanes<T> : 16) : 2 * kFullLanes<T>;

template <int kLanes, class T>
Vector<T, kLanes> load(const T* from) {
  Vector<T, kLanes> vector;
  memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <class V, class T>
void store(V vector, T* to) {
  memcpy(to, &vector, sizeof(vector));
}

template <class T, int kLanes>
Vector<T, kLanes> splat(T value) {
  return Lanes<kLanes>::splat(value);
}

// Whether any lane of a comparison's result is true.
template <class Mask>
bool any(Mask mask) {
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES == 64
  if constexpr (sizeof(Mask) == 64) {
    const auto bits = bit_cast<__m512i>(mask);
    return _mm512_test_epi64_mask(bits, bits) != 0;
  }
#endif
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES >= 32
  if constexpr (sizeof(Mask) == 32) {
    const auto bits = bit_cast<__m256i>(mask);
    return _mm256_testz_si256(bits, bits) == 0;
  }
#endif
  uint64_t all = 0;
  uint64_t words[sizeof(Mask) / sizeof(uint64_t)];
  memcpy(words, &mask, sizeof(mask));
  for (const uint64_t word : words) all |= word;
  return all != 0;
}

// The lowest bits of 64 bytes, those of the first byte lowest.
inline uint64_t lowest_bits(const uint8_t* bytes) {
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES == 64
  return _mm512_test_epi8_mask(_mm512_loadu_si512(bytes), _mm512_set1_epi8(1));
#else
  uint64_t bits = 0;
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES == 32
  for (int64_t i = 0; i < 64; i += 32) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + i));
    const int highest = _mm256_movemask_epi8(_mm256_slli_epi16(half, 7));
    bits |= uint64_t{static_cast<uint32_t>(highest)} << i;
  }
#else
  // The product brings the lowest bit of byte i to bit 56 + i.
  constexpr uint64_t kGather = 0x0102040810204080;
  for (int64_t i = 0; i < 64; i += 8) {
    uint64_t eight;
    memcpy(&eight, bytes + i, sizeof(eight));
    bits |= (eight & 0x0101010101010101) * kGather >> 56 << i;
  }
#endif
  return bits;
#endif
}

// Lane by lane the larger one; the second one if they are equal or one of them is NaN. GCC compares
// and blends if the first one is 0, which takes two instructions.
template <class V>
V larger(V first, V second) {
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES == 64
  if constexpr (std::is_same_v<V, Vector<float, 16>>) {
    return bit_cast<V>(
        _mm512_maskz_max_ps(0xffff, bit_cast<__m512>(first), bit_cast<__m512>(second)));
  }
#endif
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES >= 32
  if constexpr (std::is_same_v<V, Vector<float, 8>>) {
    return bit_cast<V>(_mm256_max_ps(bit_cast<__m256>(first), bit_cast<__m256>(second)));
  }
#endif
  return first > second ? first : second;
}

// Converts integers to wider ones. GCC 12 converts lane by lane if the width more than doubles, and
// in halves if it doubles. So the conversion that matters most is written out.
template <class To, int kLanes, class From>
Vector<To, kLanes> widen(Vector<From, kLanes> from) {
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES == 64
  if constexpr (sizeof(From) == 1 && sizeof(To) == 4 && kLanes == 16) {
    return bit_cast<Vector<To, kLanes>>(
        _mm512_maskz_cvtepu8_epi32(0xffff, bit_cast<__m128i>(from)));
  }
#endif
#if defined(__x86_64__) && RELUSTAT_VECTOR_BYTES >= 32
  if constexpr (sizeof(From) == 1 && sizeof(To) == 4 && kLanes == 8) {
    return bit_cast<Vector<To, kLanes>>(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(&from))));
  }
#endif
  if constexpr (sizeof(From) == 1 && sizeof(To) > 2) {
    return widen<To, kLanes, uint16_t>(__builtin_convertvector(from, Vector<uint16_t, kLanes>));
  } else if constexpr (sizeof(From) == 2 && sizeof(To) > 4) {
    return widen<To, kLanes, uint32_t>(__builtin_convertvector(from, Vector<uint32_t, kLanes>));
  } else {
    return __builtin_convertvector(from, Vector<To, kLanes>);
  }
}

template <int kLanes>
template <class To, class From>
typename Lanes<kLanes>::template Of<To> Lanes<kLanes>::wide(Of<From> vector) {
  return widen<To, kLanes, From>(vector);
}

// Lane i is lane kPositions[i] of a's lanes followed by b's.
template <class T, int kLanes, int... kPositions>
Vector<T, kLanes> shuffle(Vector<T, kLanes> a, Vector<T, kLanes> b,
                          std::integer_sequence<int, kPositions...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, kPositions...);
#else
  return __builtin_shuffle(a, b, Vector<T, kLanes>{static_cast<T>(kPositions)...});
#endif
}

// Lanes x[0], x[step], x[2 * step] ...; kStep is 1, 2, or 0 for any other step.
template <int kLanes, int kStep, class T>
Vector<T, kLanes> load_every(const T* x, int64_t step) {
  if constexpr (kStep == 1 || kLanes == 1) {
    return load<kLanes>(x);
  } else if constexpr (kStep == 2) {
    // The second half is loaded one element early: memory behind the last lane may not be readable.
    return [&]<int... kLane>(std::integer_sequence<int, kLane...>) {
      return shuffle<T, kLanes>(
          load<kLanes>(x), load<kLanes>(x + kLanes - 1),
          std::integer_sequence<int, (2 * kLane < kLanes ? 2 * kLane : 2 * kLane + 1)...>());
    }(std::make_integer_sequence<int, kLanes>());
  } else {
    Vector<T, kLanes> vector;
    for (int lane = 0; lane < kLanes; ++lane) vector[lane] = x[lane * step];
    return vector;
  }
}

// The two halves of a[0], b[0], a[1], b[1] ...
template <class T, int kLanes>
void interleave(Vector<T, kLanes> a, Vector<T, kLanes> b, Vector<T, kLanes>& first,
                Vector<T, kLanes>& second) {
  [&]<int... kLane>(std::integer_sequence<int, kLane...>) {
    first =
        shuffle<T, kLanes>(a, b, std::integer_sequence<int, (kLane / 2 + kLane % 2 * kLanes)...>());
    second = shuffle<T, kLanes>(
        a, b,
        std::integer_sequence<int, ((kLanes + kLane) / 2 + (kLanes + kLane) % 2 * kLanes)...>());
  }(std::make_integer_sequence<int, kLanes>());
}

// Calls visit.operator()<i>() for each i below n. (An unrolled loop would keep arrays in memory.)
template <int n, class Visit>
[[gnu::always_inline]] inline void for_each_index(const Visit& visit) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (visit.template operator()<i>(), ...);
  }(std::make_integer_sequence<int, n>());
}

// Calls visit.operator()<kLanes>(i) until [0, n) is covered by [i, i + kLanes). The last of several
// vectors overlaps the one before it; rows shorter than a vector are covered by narrower ones.
template <int kLanes, class Visit>
void for_each_vector(int64_t n, const Visit& visit) {
  if constexpr (kLanes > 1) {
    if (n < kLanes) return for_each_vector<kLanes / 2>(n, visit);
  }
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) visit.template operator()<kLanes>(i);
  if (n % kLanes != 0) visit.template operator()<kLanes>(n - kLanes);
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
