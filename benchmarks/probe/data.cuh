#pragma once

#include "common/float_format.h"
#include "memory.cuh"

namespace probe {

// Normal numbers by a hash of their position (SplitMix64, then Box and Muller's method); one in 64
// is replaced by what is easily got wrong, unless only numbers are asked for.
template <class Format>
__global__ void fill_with_samples(typename Format::Bits* x, int64_t n, bool only_numbers) {
  using Bits = typename Format::Bits;
  for_each(n, [&](int64_t i) {
    uint64_t z = (static_cast<uint64_t>(i) + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    const float u = (static_cast<float>(z >> 40) + 0.5f) * 0x1p-24f;
    const float v = (static_cast<float>(z & 0xffffff) + 0.5f) * 0x1p-24f;
    float value = 1.5f * sqrtf(-2 * logf(u)) * cospif(2 * v);
    const auto choice = static_cast<uint32_t>(z >> 24 & 0xff);
    if (choice < 4 && !only_numbers) {
      const float nasty[] = {0.0f, -0.0f, 1.0f, -1.0f, 0x1p16f, -0x1p16f, 1e-30f, -1e-30f};
      value = nasty[z >> 32 & 7];
    }
    Bits bits;
    if constexpr (sizeof(Bits) == sizeof(float)) {
      bits = relustat::bit_cast<Bits>(value);
    } else {
      bits = static_cast<Bits>(Format::template rounded<uint32_t>(value));
    }
    if (choice == 4 && !only_numbers) {
      // An infinity, or a NaN of either sign.
      bits =
          static_cast<Bits>(Format::kInfinity | (z >> 40 & 1) | (z >> 41 & 1 ? Format::kSign : 0));
    }
    x[i] = bits;
  });
}

template <class Format>
void fill(const Array<typename Format::Bits>& x, bool only_numbers) {
  fill_with_samples<Format><<<kBlocks, kThreads>>>(x.data(), x.size(), only_numbers);
  PROBE_CHECK(cudaGetLastError());
}

template <class Bits>
__global__ void count_differences(const Bits* a, const Bits* b, int64_t n,
                                  unsigned long long* differences) {
  for_each(n, [&](int64_t i) {
    if (a[i] != b[i]) atomicAdd(differences, 1ull);
  });
}

template <class Bits>
bool are_equal(const Array<Bits>& a, const Array<Bits>& b) {
  const Array<unsigned long long> differences(1);
  differences.fill_bytes(0);
  count_differences<<<kBlocks, kThreads>>>(a.data(), b.data(), a.size(), differences.data());
  PROBE_CHECK(cudaGetLastError());
  return differences.values()[0] == 0;
}

}  // namespace probe
