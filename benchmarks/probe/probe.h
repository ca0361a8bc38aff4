#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// What the kernels do on this GPU, without PyTorch: whether they are exact, and how long they take
// beside a kernel that does the least with the same bytes.

namespace probe {

enum class Mode {
  kTimed,
  kOnce,   // each kernel once on large inputs, and no times: for profilers
  kSmall,  // the same on tiny inputs: for sanitizers
};

struct Options {
  Mode mode;
  int processors;
  double gigahertz;
};

// Each prints its rows, and returns how many are wrong.
int counting_relu_rows(const Options& options);
int pool_rows(const Options& options);
int shared_atomic_rows(const Options& options);

// Ends the program if a call failed.
void check(cudaError_t error, const char* what);
#define PROBE_CHECK(call) ::probe::check(call, #call)

}  // namespace probe
