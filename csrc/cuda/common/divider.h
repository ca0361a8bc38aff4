#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace relustat::cuda {

// Divides by a fixed number: by a multiplication, if indices have 32 bits.
template <class Index>
struct Divider;

template <>
struct Divider<int64_t> {
  int64_t divisor = 1;

  Divider() = default;
  explicit Divider(int64_t divisor) : divisor(divisor) {}
  RELUSTAT_HOST_DEVICE int64_t quotient(int64_t n) const { return n / divisor; }
};

// The round-up method of Granlund and Montgomery, Division by invariant integers using
// multiplication, PLDI 1994. For n from 0 to 2^31 - 1.
template <>
struct Divider<int32_t> {
  int32_t divisor = 1;
  uint32_t factor = 1;
  uint32_t shift = 0;

  Divider() = default;
  explicit Divider(int64_t divisor) : divisor(static_cast<int32_t>(divisor)) {
    while ((uint64_t{1} << shift) < static_cast<uint64_t>(divisor)) ++shift;
    const uint64_t power = uint64_t{1} << shift;
    factor = static_cast<uint32_t>(((power - divisor) << 32) / divisor + 1);
  }
  RELUSTAT_HOST_DEVICE int32_t quotient(int32_t n) const {
    const auto high = static_cast<uint32_t>(static_cast<uint64_t>(n) * factor >> 32);
    return static_cast<int32_t>((high + static_cast<uint32_t>(n)) >> shift);
  }
};

// A position as its coordinate along the last axis, and the position along the other axes.
template <class Index>
struct Split {
  Index rest;
  Index last;

  RELUSTAT_HOST_DEVICE Split(Index position, const Divider<Index>& size)
      : rest(size.quotient(position)), last(position - rest * size.divisor) {}
};

// The sizes that split a position [plane, d, h, w, pack]. There is one pack if planes are
// contiguous.
template <class Index>
struct PositionSizes {
  Divider<Index> d;
  Divider<Index> h;
  Divider<Index> w;
  Divider<Index> packs;

  PositionSizes(int64_t d, int64_t h, int64_t w, int64_t packs) : d(d), h(h), w(w), packs(packs) {}
  int64_t positions(int64_t planes) const {
    return planes * d.divisor * h.divisor * w.divisor * packs.divisor;
  }
};

}  // namespace relustat::cuda
