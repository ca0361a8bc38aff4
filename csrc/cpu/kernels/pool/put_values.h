#pragma once

#include <cstdint>

#include "cpu/kernels/common/vector.h"
#include "pool/largest.h"

// Part of max_unpool_body.h, and compiled with it for each instruction set. What windows do to
// cells. They come in row-major order, and each puts one value into one cell.
//   prepared(y, n): the values of n windows.
//   clear(begin, end): before any value is put into these cells.
//   put(cell, value)
//   leave(n, more): no value is put into the first n cells any more, but perhaps into `more` cells
//     behind them. These are the first cells from then on.
// `kept` is memory for what is kept beside the cells, see UnpoolPlan; it is 0 at first.
// single(values): what is put
// into a cell that no other window sees.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// The last value stays. So does a single one, whatever the overlap.
template <class Format>
class PutLast {
 public:
  using Bits = typename Format::Bits;
  using Element = Bits;  // of single(): the widest that it computes with

  PutLast(Bits* cells, void* /*values*/, void* /*kept*/) : cells_(cells) {}
  const Bits* prepared(const Bits* y, int64_t) const { return y; }
  void clear(int64_t begin, int64_t end) const {
    memset(cells_ + begin, 0, (end - begin) * sizeof(Bits));
  }
  void put(int64_t cell, Bits value) const { cells_[cell] = value; }
  template <int kLanes>
  static Vector<Bits, kLanes> single(Vector<Bits, kLanes> values) {
    return values;
  }
  void leave(int64_t n, int64_t) { cells_ += n; }

 private:
  Bits* cells_;
};

// Values add up in their own format.
template <class Format>
class PutSum {
 public:
  using Bits = typename Format::Bits;

  PutSum(Bits* cells, void* /*values*/, void* /*kept*/) : cells_(cells) {}
  const Bits* prepared(const Bits* y, int64_t) const { return y; }
  void clear(int64_t begin, int64_t end) const {
    memset(cells_ + begin, 0, (end - begin) * sizeof(Bits));
  }
  void put(int64_t cell, Bits value) const {
    cells_[cell] = bit_cast<Bits>(Format::value(cells_[cell]) + Format::value(value));
  }
  void leave(int64_t n, int64_t) { cells_ += n; }

 private:
  Bits* cells_;
};

// Sums of a single value: 0 + -0.0 is 0.
template <class Format>
class PutSingleSum : public PutLast<Format> {
 public:
  using Bits = typename Format::Bits;
  using Element = typename Format::Value;

  PutSingleSum(Bits* cells, void* values, void* kept)
      : PutLast<Format>(cells, values, kept), values_(static_cast<Bits*>(values)) {}
  const Bits* prepared(const Bits* y, int64_t n) const {
    for_each_vector<kFullLanes<Element>>(
        n, [&]<int kLanes>(int64_t i) { store(single<kLanes>(load<kLanes>(y + i)), values_ + i); });
    return values_;
  }
  template <int kLanes>
  static Vector<Bits, kLanes> single(Vector<Bits, kLanes> values) {
    if constexpr (kIsNative<Format>) {
      using Values = Vector<typename Format::Value, kLanes>;
      return bit_cast<Vector<Bits, kLanes>>(bit_cast<Values>(values) + 0);
    } else {
      const auto words = widen<uint32_t, kLanes, Bits>(values);
      const auto sums = Format::template values<Vector<float, kLanes>>(words) + 0.0f;
      return Lanes<kLanes>::template narrow<Bits>(
          Format::template rounded<Vector<uint32_t, kLanes>>(sums));
    }
  }

 private:
  Bits* const values_;
};

// 16-bit values add up in float32, and sums are rounded once.
template <class Format>
class PutRoundedSum {
 public:
  using Bits = typename Format::Bits;

  PutRoundedSum(Bits* cells, void* values, void* kept)
      : cells_(cells), values_(static_cast<float*>(values)), sums_(static_cast<float*>(kept)) {}
  const float* prepared(const Bits* y, int64_t n) const {
    for_each_vector<kFullLanes<float>>(n, [&]<int kLanes>(int64_t i) {
      const auto words = widen<uint32_t, kLanes, Bits>(load<kLanes>(y + i));
      store(Format::template values<Vector<float, kLanes>>(words), values_ + i);
    });
    return values_;
  }
  void clear(int64_t, int64_t) const {}  // sums are cleared where they are left
  void put(int64_t cell, float value) const { sums_[cell] += value; }
  void leave(int64_t n, int64_t more) {
    constexpr int kFull = kFullLanes<float>;
    int64_t i = 0;
    for (; i + kFull <= n; i += kFull) round<kFull>(i);
    for (; i < n; ++i) round<1>(i);
    memmove(sums_, sums_ + n, more * sizeof(float));
    const int64_t moved = n > more ? n : more;
    memset(sums_ + moved, 0, (n + more - moved) * sizeof(float));
    cells_ += n;
  }

 private:
  template <int kLanes>
  void round(int64_t i) const {
    const auto words = Format::template rounded<Vector<uint32_t, kLanes>>(load<kLanes>(sums_ + i));
    store(Lanes<kLanes>::template narrow<Bits>(words), cells_ + i);
    store(splat<float, kLanes>(0), sums_ + i);
  }

  Bits* cells_;
  float* const values_;
  float* const sums_;
};

// The largest value stays.
template <class Format>
class PutLargest {
 public:
  using Bits = typename Format::Bits;

  PutLargest(Bits* cells, void* /*values*/, void* kept)
      : cells_(cells), is_set_(static_cast<uint8_t*>(kept)) {}
  const Bits* prepared(const Bits* y, int64_t) const { return y; }
  void clear(int64_t begin, int64_t end) const {
    memset(cells_ + begin, 0, (end - begin) * sizeof(Bits));
    memset(is_set_ + begin, 0, end - begin);
  }
  void put(int64_t cell, Bits value) const {
    Largest<Format, Single> largest;
    largest.begin(cells_[cell], Bits{0});
    if (!largest.offer(value, Bits{0}) && is_set_[cell] != 0) return;
    cells_[cell] = value;
    is_set_[cell] = 1;
  }
  void leave(int64_t n, int64_t more) {
    memmove(is_set_, is_set_ + n, more);
    cells_ += n;
  }

 private:
  Bits* cells_;
  uint8_t* const is_set_;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
