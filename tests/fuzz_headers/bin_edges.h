#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <vector>

#include "input.h"
#include "relu/binning.h"

// Edges as relustat/stats/bins.py makes them, and such as it refuses, which an op can be given.

namespace fuzz {

struct Edges {
  relustat::Binning kind;
  std::vector<float> values;
  bool are_of_their_kind;

  int32_t bins() const { return static_cast<int32_t>(values.size()) - 1; }
};

inline bool are_finite_and_increase(const std::vector<float>& edges) {
  for (size_t i = 0; i < edges.size(); ++i) {
    if (!std::isfinite(edges[i]) || (i > 0 && edges[i - 1] >= edges[i])) return false;
  }
  return true;
}

// Any floats; also such that lie side by side.
inline std::vector<float> any_edges(Input& input) {
  std::vector<float> edges(input.size(2, 1100));
  const float most = input.flag() ? INFINITY : -INFINITY;
  for (size_t i = 0; i < edges.size(); ++i) {
    const bool is_next = i > 0 && (input.is_empty() || input.flag());
    edges[i] = is_next ? std::nextafter(edges[i - 1], most) : input.raw<float>();
  }
  return edges;
}

inline std::vector<float> ordered_edges(Input& input) {
  std::vector<float> edges = any_edges(input);
  edges.erase(std::remove_if(edges.begin(), edges.end(), [](float x) { return !std::isfinite(x); }),
              edges.end());
  for (float& edge : edges) edge += 0.0f;  // -0.0 is 0.0
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return edges;
}

// As numpy.linspace computes them. Ends are decimals, as people write them, or any numbers.
inline std::vector<float> linear_edges(Input& input) {
  const auto end = [&] {
    return input.flag() ? static_cast<double>(input.number(-1000, 1000)) / 10
                        : static_cast<double>(input.raw<float>());
  };
  const double lo = end();
  const double hi = end();
  const int64_t bins = input.size(1, relustat::kMaxBins);
  if (!(lo < hi)) return {};
  std::vector<float> edges(bins + 1);
  const double step = (hi - lo) / static_cast<double>(bins);
  for (int64_t i = 0; i <= bins; ++i) edges[i] = static_cast<float>(i * step + lo) + 0.0f;
  edges[bins] = static_cast<float>(hi) + 0.0f;
  return edges;
}

inline std::vector<float> log_edges(Input& input) {
  const int64_t per_octave = int64_t{1} << input.number(0, 8);
  const auto least = static_cast<int>(input.number(-126, 126));
  const auto most = static_cast<int>(input.size(least + 1, 127));
  if (2 * (per_octave * (most - least) + 1) > relustat::kMaxBins) return {};
  std::vector<float> positive;
  for (int exponent = least; exponent < most; ++exponent) {
    for (int64_t k = 0; k < per_octave; ++k) {
      positive.push_back(std::ldexp(1 + static_cast<float>(k) / per_octave, exponent));
    }
  }
  positive.push_back(std::ldexp(1.0f, most));
  std::vector<float> edges;
  std::transform(positive.rbegin(), positive.rend(), std::back_inserter(edges), std::negate<>());
  edges.push_back(0);
  edges.insert(edges.end(), positive.begin(), positive.end());
  return edges;
}

// float32 edges and wider values are compared as double, in which both are exact.
inline int32_t expected_slot(const std::vector<float>& edges, double x) {
  const auto bins = static_cast<int32_t>(edges.size()) - 1;
  if (std::isnan(x)) return bins + 2;
  if (x == edges.back()) return bins;
  return static_cast<int32_t>(std::upper_bound(edges.begin(), edges.end(), x) - edges.begin());
}

// None if Python raises an error.
inline Edges read_edges(Input& input) {
  using relustat::Binning;
  const auto kind = static_cast<Binning>(input.number(1, 3));
  const bool are_any = input.number(0, 7) == 7;
  if (are_any) return {kind, any_edges(input), false};
  Edges edges{kind,
              kind == Binning::kSearch   ? ordered_edges(input)
              : kind == Binning::kLinear ? linear_edges(input)
                                         : log_edges(input),
              true};
  if (!are_finite_and_increase(edges.values)) edges.values.clear();
  return edges;
}

}  // namespace fuzz
