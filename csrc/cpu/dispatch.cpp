#include "cpu/dispatch.h"

#include <ATen/Version.h>

#include <string>

namespace relustat::cpu {

const Kernels& kernels() {
  static const Kernels* const chosen = [] {
#if defined(__x86_64__)
    const std::string capability = at::get_cpu_capability();
    if (capability == "AVX512") return &avx512::kKernels;
    if (capability == "AVX2") return &avx2::kKernels;
#endif
    return &baseline::kKernels;
  }();
  return *chosen;
}

}  // namespace relustat::cpu
