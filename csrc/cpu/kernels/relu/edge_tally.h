#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/common/vector.h"
#include "cpu/kernels/relu/span.h"
#include "cpu/kernels/relu/tiling.h"
#include "relu/binning.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Counts floats in bins of any edges. All floats with the same upper 16 bits are a cell. A table
// has the number of edges below a cell, and a comparison for each edge that a cell may hold does
// the rest.
class EdgeTally {
 public:
  // scratch: [kEdgeTallyWords], all 0, and again at the end of its life.
  EdgeTally(const SearchBinner<float>& binner, uint32_t* scratch)
      : binner_(binner),
        histograms_(scratch),
        below_(reinterpret_cast<uint16_t*>(scratch + kEdgeHistogramWords)),
        edges_(reinterpret_cast<float*>(scratch + kEdgeHistogramWords + kPatterns / 2)) {}

  ~EdgeTally() {
    memset(below_, 0, kPatterns * sizeof(*below_));
    memset(edges_, 0, (kMostTalliedEdges + kMostInCell) * sizeof(*edges_));
  }
  EdgeTally(const EdgeTally&) = delete;
  EdgeTally& operator=(const EdgeTally&) = delete;

  // Returns whether the edges are few, finite and in order, and few of them share a cell.
  bool prepare() {
    const int32_t bins = binner_.bins;
    if (bins > kMostTalliedEdges - 1) return false;
    int32_t in_cell = 1;
    most_in_cell_ = 1;
    for (int32_t i = 0; i <= bins; ++i) {
      const float edge = binner_.edges[i];
      edges_[i] = edge;
      if (!(edge - edge == 0)) return false;
      if (i == 0) continue;
      if (!(edges_[i - 1] < edge)) return false;
      in_cell = cell_of(edge) == cell_of(edges_[i - 1]) ? in_cell + 1 : 1;
      most_in_cell_ = in_cell > most_in_cell_ ? in_cell : most_in_cell_;
    }
    if (most_in_cell_ > kMostInCell) return false;
    // The last bin includes its right edge.
    edges_[bins] = next_above(edges_[bins]);
    for (int32_t i = bins + 1; i <= bins + kMostInCell; ++i) edges_[i] = bit_cast<float>(kInfinity);
    find_below();
    return true;
  }

  [[gnu::always_inline]] inline void add(const uint32_t* x) {
    if (!are_finite(x)) [[unlikely]] {
      for (int64_t i = 0; i < kSpan; ++i) ++histograms_[binner_.slot(bit_cast<float>(x[i]))];
      return;
    }
    if (most_in_cell_ == 1) {
      add_each<1>(x, below_, edges_, histograms_);
    } else {
      add_each<kMostInCell>(x, below_, edges_, histograms_);
    }
  }

  void flush(int64_t* histogram) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      uint32_t* const counts = histograms_ + lane * kStride;
      for (int32_t slot = 0; slot < binner_.bins + 3; ++slot) {
        histogram[slot] += counts[slot];
        counts[slot] = 0;
      }
    }
  }

 private:
  static constexpr int32_t kInfinity = 0x7f800000;
  static constexpr int32_t kMostInCell = 3;
  static constexpr int64_t kStride = kEdgeHistogramWords / kLanes;

  static uint32_t bits_of(float x) { return bit_cast<uint32_t>(x); }
  // The cell that an edge divides. 0 is above all of -0.0's cell but -0.0 itself.
  static uint32_t cell_of(float edge) { return edge == 0 ? kPatterns / 2 : bits_of(edge) >> 16; }
  static float next_above(float x) {
    if (x == 0) return bit_cast<float>(1u);
    return bit_cast<float>(x > 0 ? bits_of(x) + 1 : bits_of(x) - 1);
  }

  // For each cell, the number of edges that are not above its lowest float.
  void find_below() {
    constexpr int32_t kSigned = kPatterns / 2;
    const int32_t edges = binner_.bins + 1;
    // Cells below 0, those with the largest numbers first. The lowest float of a cell has all lower
    // bits.
    int32_t i = 0;
    int32_t end = kSigned;
    for (; i < edges && edges_[i] < 0; ++i) {
      const auto first = static_cast<int32_t>(((bits_of(edges_[i]) & INT32_MAX) + 1) >> 16);
      fill(below_ + kSigned + first, end - first, i);
      end = first;
    }
    fill(below_ + kSigned, end, i);
    // Cells from 0 on. The lowest float of a cell has no lower bits.
    for (; i < edges && edges_[i] == 0; ++i) continue;
    int32_t begin = 0;
    for (; i < edges; ++i) {
      const auto first = static_cast<int32_t>((bits_of(edges_[i]) + 0xffff) >> 16);
      fill(below_ + begin, first - begin, i);
      begin = first;
    }
    fill(below_ + begin, kSigned - begin, i);
  }

  static void fill(uint16_t* to, int32_t n, int32_t value) {
    for (int32_t i = 0; i < n; ++i) to[i] = static_cast<uint16_t>(value);
  }

  static bool are_finite(const uint32_t* x) {
    constexpr int kFull = kFullLanes<float>;
    auto most = splat<int32_t, kFull>(0);
    for_each_index<kSpan / kFull>([&]<int v>() __attribute__((always_inline)) {
      const auto bits = bit_cast<Vector<int32_t, kFull>>(load<kFull>(x + v * kFull));
      const auto magnitude = bits & INT32_MAX;
      most = magnitude > most ? magnitude : most;
    });
    return !any(most >= splat<int32_t, kFull>(kInfinity));
  }

  // Inlined, it would lack registers.
  template <int kComparisons>
  [[gnu::noinline]] static void add_each(const uint32_t* x, const uint16_t* below,
                                         const float* edges, uint32_t* histograms) {
    for (int64_t i = 0; i < kSpan; i += kLanes) {
#pragma GCC unroll 8
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const float value = bit_cast<float>(x[i + lane]);
        uint64_t slot = below[x[i + lane] >> 16];
        for (int j = 0; j < kComparisons; ++j) slot += value < edges[slot] ? 0 : 1;
        ++histograms[lane * kStride + slot];
      }
    }
  }

  const SearchBinner<float>& binner_;
  uint32_t* const histograms_;  // [kLanes, kStride]
  uint16_t* const below_;       // [kPatterns]
  float* const edges_;          // [kMostTalliedEdges + kMostInCell]
  int32_t most_in_cell_ = 1;
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
