#pragma once

#include "cpu/kernels/common/transpose.h"
#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/pool/max_pool.h"
#include "cpu/kernels/pool/pool_plan.h"
#include "cpu/kernels/pool/pool_rows.h"
#include "pool/window.h"

// Part of max_pool_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Planes whose rows are shorter than vectors: a group of planes becomes pixels with a channel for
// each plane, and back.
template <class Format, class Offset>
class PoolSmallPlanes {
 public:
  using Bits = typename Format::Bits;

  PoolSmallPlanes(const MaxPoolShare& share, const PoolPlan& plan)
      : share_(share), plan_(plan), pooling_(share.pooling) {}

  void run() const {
    char* const scratch = static_cast<char*>(share_.scratch);
    MaxPoolShare pixels = share_;
    pixels.x = scratch + plan_.x;
    pixels.first_cell = 0;
    pixels.y = scratch + plan_.y;
    pixels.offsets = scratch + plan_.offsets;
    pixels.begin = 0;
    pixels.end = pooling_.outputs();
    for (int64_t plane = share_.begin; plane < share_.end; plane += PoolPlan::kGroup) {
      const int64_t left = share_.end - plane;
      const int64_t planes = left < PoolPlan::kGroup ? left : PoolPlan::kGroup;
      pixels.channels = (planes + kSquare<Bits> - 1) / kSquare<Bits> * kSquare<Bits>;
      const int64_t from = plane * pooling_.inputs() - share_.first_cell;
      to_pixels(static_cast<const Bits*>(share_.x) + from, planes,
                reinterpret_cast<Bits*>(scratch + plan_.x), pixels.channels);
      PoolRows<Format, Offset>(pixels).run();
      const int64_t to = plane * pooling_.outputs();
      to_planes(static_cast<const Bits*>(pixels.y), pixels.channels,
                static_cast<Bits*>(share_.y) + to, planes);
      to_planes(static_cast<const Offset*>(pixels.offsets), pixels.channels,
                static_cast<Offset*>(share_.offsets) + to, planes);
    }
  }

 private:
  // [planes, cells] to [cells, channels]. Channels without a plane repeat the last one.
  void to_pixels(const Bits* from, int64_t planes, Bits* to, int64_t channels) const {
    const int64_t cells = pooling_.inputs();
    for_each_vector<kSquare<Bits>>(cells, [&]<int kSize>(int64_t cell) {
      for (int64_t channel = 0; channel < channels; channel += kSize) {
        Vector<Bits, kSize> square[kSize];
        for (int i = 0; i < kSize; ++i) {
          const int64_t plane = channel + i < planes ? channel + i : planes - 1;
          square[i] = load<kSize>(from + plane * cells + cell);
        }
        transpose<Bits, kSize>(square);
        for (int i = 0; i < kSize; ++i) store(square[i], to + (cell + i) * channels + channel);
      }
    });
  }

  // [windows, channels] to [planes, windows].
  template <class T>
  void to_planes(const T* from, int64_t channels, T* to, int64_t planes) const {
    const int64_t windows = pooling_.outputs();
    for_each_vector<kSquare<Bits>>(windows, [&]<int kSize>(int64_t window) {
      for (int64_t channel = 0; channel < channels; channel += kSize) {
        Vector<T, kSize> square[kSize];
        for (int i = 0; i < kSize; ++i) {
          square[i] = load<kSize>(from + (window + i) * channels + channel);
        }
        transpose<T, kSize>(square);
        const int64_t most = planes - channel < kSize ? planes - channel : kSize;
        for (int i = 0; i < most; ++i) store(square[i], to + (channel + i) * windows + window);
      }
    });
  }

  const MaxPoolShare& share_;
  const PoolPlan& plan_;
  const Pooling pooling_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
