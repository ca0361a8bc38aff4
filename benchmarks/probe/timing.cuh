#pragma once

#include <algorithm>
#include <vector>

#include "probe.h"

namespace probe {

static __global__ void spin(int64_t clocks) {
  const int64_t begin = clock64();
  while (clock64() - begin < clocks) {
  }
}

// The time of one run(i), as the median of rounds of several runs each. The GPU is kept busy until
// all runs of a round are in its queue: so the host is not timed.
template <class Run>
double microseconds(const Run& run) {
  constexpr int kRounds = 7;
  constexpr int kRuns = 8;
  cudaEvent_t begin, end;
  PROBE_CHECK(cudaEventCreate(&begin));
  PROBE_CHECK(cudaEventCreate(&end));
  run(0);
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    spin<<<1, 1>>>(400'000);
    PROBE_CHECK(cudaEventRecord(begin));
    for (int i = 0; i < kRuns; ++i) run(i);
    PROBE_CHECK(cudaEventRecord(end));
    PROBE_CHECK(cudaEventSynchronize(end));
    float milliseconds = 0;
    PROBE_CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    times.push_back(milliseconds * 1e3 / kRuns);
  }
  PROBE_CHECK(cudaEventDestroy(begin));
  PROBE_CHECK(cudaEventDestroy(end));
  std::sort(times.begin(), times.end());
  return times[kRounds / 2];
}

}  // namespace probe
