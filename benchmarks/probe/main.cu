// Usage: probe [--once | --small]
//
// Exit status 1: a kernel was wrong, or a call failed. 2: there is no GPU.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "memory.cuh"
#include "timing.cuh"

namespace probe {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("FAILED %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

namespace {

void print_copy_rate() {
  constexpr int64_t kBytes = int64_t{1} << 28;
  const Array<char> from(kBytes), to(kBytes);
  from.fill_bytes(1);
  const double taken = microseconds([&](int) {
    PROBE_CHECK(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice));
  });
  std::printf("%-62s %9.1f us  %5.2f TB/s\n", "copy of 256 MiB", taken,
              2.0 * kBytes / taken * 1e-6);
}

int run(Mode mode) {
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || devices == 0) {
    std::printf("probe: needs a GPU, got none (%s)\n", cudaGetErrorString(found));
    return 2;
  }
  cudaDeviceProp properties;
  PROBE_CHECK(cudaGetDeviceProperties(&properties, 0));
  int kilohertz = 0;
  PROBE_CHECK(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, 0));
  const Options options{mode, properties.multiProcessorCount, kilohertz * 1e-6};
  std::printf("%s, sm_%d%d, %d processors, %.2f GHz\n", properties.name, properties.major,
              properties.minor, options.processors, options.gigahertz);
  if (mode == Mode::kTimed) print_copy_rate();
  int wrong = counting_relu_rows(options);
  wrong += pool_rows(options);
  if (mode == Mode::kTimed) wrong += shared_atomic_rows(options);
  std::printf("probe: %d wrong\n", wrong);
  return wrong > 0 ? 1 : 0;
}

}  // namespace
}  // namespace probe

int main(int count, char** words) {
  // A row is on its way as soon as it is known: the program may be stopped.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (count == 1) return probe::run(probe::Mode::kTimed);
  const std::string word = count == 2 ? words[1] : "";
  if (word == "--once") return probe::run(probe::Mode::kOnce);
  if (word == "--small") return probe::run(probe::Mode::kSmall);
  std::printf("usage: probe [--once | --small]\n");
  return 1;
}
