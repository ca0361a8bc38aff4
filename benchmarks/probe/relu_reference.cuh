#pragma once

#include "memory.cuh"
#include "relu/binning.h"
#include "relu/counters.h"

namespace probe {

// ReLU, and its counts, element by element: bins are searched among their edges.
template <class Format>
__global__ void relu_reference(const typename Format::Bits* x, typename Format::Bits* y,
                               relustat::UnitLayout units, relustat::CounterLayout layout,
                               const float* edges, int32_t bins, unsigned long long* counters) {
  using Bits = typename Format::Bits;
  const relustat::SearchBinner<float> binner{edges, bins};
  for_each(units.elements(), [&](int64_t i) {
    const float value = Format::value(x[i]);
    const bool is_nan = value != value;
    y[i] = is_nan || value > 0 ? x[i] : Bits{0};
    const int64_t unit = i / units.inner % units.units;
    if (y[i] == 0) atomicAdd(counters + layout.zeros() + unit, 1ull);
    // Without bins there is one slot, of NaNs.
    if (bins == 0 && !is_nan) return;
    const int64_t row = layout.rows > 1 ? unit : 0;
    const int64_t slot = bins == 0 ? 0 : binner.slot(value);
    atomicAdd(counters + layout.histogram() + row * layout.slots + slot, 1ull);
  });
}

// A ReLU that does nothing else, on whole vectors.
template <class Format>
__global__ void plain_relu(const uint4* x, uint4* y, int64_t vectors) {
  using Bits = typename Format::Bits;
  for_each(vectors, [&](int64_t i) {
    uint4 vector = x[i];
    auto* const elements = reinterpret_cast<Bits*>(&vector);
#pragma unroll
    for (int v = 0; v < static_cast<int>(sizeof(vector) / sizeof(Bits)); ++v) {
      const bool is_negative = (elements[v] & Format::kSign) != 0;
      const bool is_nan = static_cast<Bits>(elements[v] & ~Format::kSign) > Format::kInfinity;
      elements[v] = is_negative && !is_nan ? Bits{0} : elements[v];
    }
    y[i] = vector;
  });
}

}  // namespace probe
